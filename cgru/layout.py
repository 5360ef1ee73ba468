"""How a caller's arrays lie: inside, everything is (T, N, features), and here is the way there and back."""

from typing import NamedTuple


class Layout(NamedTuple):
    """The caller's order of axes; every method returns a view.

    Attributes
    ----------
    batch_first : bool
        (N, T, features) in place of (T, N, features).
    batched : bool
        Whether there is an axis of rows; without it arrays are (T, features), and states (L*D, H).
    """

    batch_first: bool
    batched: bool

    def time_major(self, array):
        """(T, N, features) of the caller's x, y or their gradients."""
        if not self.batched:
            return array[:, None]
        return array.swapaxes(0, 1) if self.batch_first else array

    def as_given(self, array, axis=0):
        """The caller's layout of (T, N, features), T being the axis number `axis`."""
        if not self.batched:
            return array[(slice(None),) * (axis + 1) + (0,)]
        return array.swapaxes(axis, axis + 1) if self.batch_first else array

    def shape(self, T, N, features):
        """Shape of the caller's x or y."""
        if not self.batched:
            return T, features
        return (N, T, features) if self.batch_first else (T, N, features)

    def row_shape(self, N, features):
        """Shape of the caller's y where it is one step alone."""
        return (N, features) if self.batched else (features,)

    def state(self, planes):
        """The caller's form of a state's planes (L*D, N, H): the array, or the tuple where there are two."""
        if not self.batched:
            planes = tuple([plane[:, 0] for plane in planes])
        return planes[0] if len(planes) == 1 else planes


#: By (batch_first, batched).
LAYOUTS = {form: Layout(*form) for form in ((False, False), (False, True), (True, False), (True, True))}


def text(batch_first, features="I"):
    """The shape of a batch in words: "(T, N, I)"."""
    return f"(N, T, {features})" if batch_first else f"(T, N, {features})"

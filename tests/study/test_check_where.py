"""`cgru.check`: where a difference begins, columns of one matrix, what is not compared; and ``cgru check``."""

import numpy as np
import pytest

import cgru
from cgru.__main__ import main

T, N, H, INPUTS = 9, 3, 5, 4


@pytest.fixture
def x(rng):
    return 2 * rng.normal(size=(T, N, INPUTS)).astype(np.float32)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("wrong", [0.01, np.nan])
def test_where_a_difference_begins(x, batch_first, wrong):
    gru = cgru.GRU(INPUTS, H, rng=1, batch_first=batch_first)
    x = x.swapaxes(0, 1) if batch_first else x
    y, _ = gru(x)
    late, first = ((1, 7, 3), (2, 6, 4)) if batch_first else ((7, 1, 3), (6, 2, 4))
    if np.isnan(wrong):
        y[late] = y[first] = wrong
        with pytest.raises(ValueError, match=r"NaN or infinity.* first at step 6, row 2, unit 4"):
            cgru.check(gru, x, y)
        return
    expected, got = y.copy(), y
    expected[late] += wrong
    expected[first] += wrong
    report = cgru.check(gru, x, expected)
    assert report.first[:3] == (6, 2, 4)
    assert report.first.got == got[first] and report.first.expected == expected[first]
    assert "begins at step 6, row 2, unit 4" in str(report)


def test_nan_of_the_model(x):
    gru = cgru.GRU(INPUTS, H, rng=1)
    y, _ = gru(x)
    x[4, 1] = np.nan
    report = cgru.check(gru, x, y)
    assert report.first[:3] == (4, 1, 0) and np.isnan(report.first.got)
    assert "NaN" in str(report) and "another shape" not in str(report)


def test_unbatched(x):
    gru = cgru.GRU(INPUTS, H, rng=1)
    y, _ = gru(x[:, 0])
    y[3:, 2] += 0.1
    assert cgru.check(gru, x[:, 0], y).first[:3] == (3, 0, 2)


def test_a_change_that_is_no_closer_is_not_named(x):
    """A real mistake: an error of 0.01 from step 6 on, which exchanged biases do not mend."""
    gru = cgru.GRU(INPUTS, H, rng=1)
    y, _ = gru(x)
    y[6:] += 0.01
    report = cgru.check(gru, x, y)
    assert not report.changes and "Closest" not in str(report) and "begins at step 6" in str(report)


def cut(state, h_first, into_h_first):
    """The state dict as it comes of matrices over [h, x] (or [x, h]) that are cut in the other order."""
    state = dict(state)
    for name in [name for name in state if name.startswith("weight_ih")]:
        other = name.replace("ih", "hh")
        W, U = state[name], state[other]
        whole = np.hstack([U, W] if h_first else [W, U])
        if into_h_first:
            state[other], state[name] = whole[:, : U.shape[1]], whole[:, U.shape[1] :]
        else:
            state[name], state[other] = whole[:, : W.shape[1]], whole[:, W.shape[1] :]
    return state


@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"reset_after": False}, {"bidirectional": True}], ids=repr)
@pytest.mark.parametrize("h_first", [False, True])
def test_columns_of_one_matrix(x, options, h_first):
    right = cgru.GRU(INPUTS, H, rng=1, dtype="float64", **options)
    y, _ = right(x)
    state = {name: np.ascontiguousarray(array) for name, array in cut(right.state_dict(), h_first, not h_first).items()}
    wrong = cgru.GRU.from_state_dict(state, reset_after=right.config.reset_after)
    report = cgru.check(wrong, x, y)
    order = ("[h, x]", "[x, h]") if h_first else ("[x, h]", "[h, x]")
    assert report.changes == ("each gate's matrix cut at columns {}, where it was cut at {}".format(*order),)
    assert report.model == right


def test_columns_of_from_equations(x, rng):
    """With I = H nobody can see it from the shapes."""
    matrices = [rng.normal(size=(H, 2 * H)) / 2 for _ in range(3)]
    x = rng.normal(size=(T, N, H))
    right = cgru.GRU.from_equations(*matrices)
    wrong = cgru.GRU.from_equations(*(np.hstack([m[:, H:], m[:, :H]]) for m in matrices))
    report = cgru.check(wrong, x, right(x)[0])
    assert report.changes == ("each gate's matrix cut at columns [x, h], where it was cut at [h, x]",)


@pytest.mark.parametrize("batch_first", [False, True])
def test_nan_past_a_length_is_not_compared(x, batch_first):
    gru = cgru.GRU(INPUTS, H, rng=1, batch_first=batch_first)
    x = x.swapaxes(0, 1) if batch_first else x
    y, _ = gru(x, lengths=[9, 4, 0])
    by_row = y if batch_first else y.swapaxes(0, 1)
    by_row[1, 4:], by_row[2] = np.nan, np.inf
    assert cgru.check(gru, x, y, lengths=[9, 4, 0]).matches
    by_row[1, 3, 2] = np.nan
    with pytest.raises(ValueError, match="step 3, row 1, unit 2"):
        cgru.check(gru, x, y, lengths=[9, 4, 0])


@pytest.mark.parametrize("num_layers", [1, 2])
def test_padding_of_a_reversed_model(x, num_layers):
    gru = cgru.GRU(INPUTS, H, num_layers, go_backwards=True, rng=1)
    y, _ = gru(x, lengths=[9, 4, 0])
    assert cgru.check(gru, x, np.where(y == 0, np.nan, y), lengths=[9, 4, 0]).matches


@pytest.mark.parametrize("lengths", [[1, 2], [[1], [2], [3]], "abc", [0.5, 1, 2]], ids=repr)
def test_bad_lengths_are_the_model_s_error(x, lengths):
    gru = cgru.GRU(INPUTS, H, rng=1)
    with pytest.raises((ValueError, TypeError), match="lengths"):
        cgru.check(gru, x, gru(x)[0], lengths=lengths)


@pytest.mark.parametrize("shape", [(), (H,), (1, T, N, H)])
def test_no_model_s_shape(x, shape):
    with pytest.raises(ValueError, match="y_expected has shape"):
        cgru.check(cgru.GRU(INPUTS, H, rng=1), x, np.full(shape, np.nan))


def test_nothing_to_compare(x):
    gru = cgru.GRU(INPUTS, H, rng=1)
    y, _ = gru(x)
    for arguments in [(x, y + 1, [0, 0, 0]), (x[:0], y[:0], None), (x[:, :0], y[:, :0], None)]:
        with pytest.raises(ValueError, match="there is nothing to compare"):
            cgru.check(gru, *arguments[:2], lengths=arguments[2])


def ended(*arguments):
    """The exit status of ``cgru check``."""
    try:
        return main(["check", *arguments])
    except SystemExit as end:
        return end.code


def test_the_command_names_its_options(x, folder, capsys):
    right = cgru.GRU(INPUTS, H, rng=1)
    cgru.GRU.from_state_dict(right.state_dict(), reset_after=False).save("m.safetensors")
    np.save("x.npy", x)
    np.save("y.npy", right(x)[0])
    assert ended("m.safetensors", "x.npy", "y.npy") == 1
    out = capsys.readouterr().out
    assert "attribute" not in out and "--save FILE" in out
    assert ended("m.safetensors", "x.npy", "y.npy", "--save", "right.safetensors") == 1
    out = capsys.readouterr().out
    assert "--save FILE" not in out and "wrote right.safetensors" in out
    assert cgru.load("right.safetensors") == right
    np.savez("two.npz", a=x, b=x)
    assert ended("m.safetensors", "two.npz", "y.npy") == 2
    assert "--key" not in capsys.readouterr().err


@pytest.mark.parametrize("batch_first", [False, True])
def test_raw_files(x, rng, batch_first, folder, capsys):
    """As C writes them; the shape is the other file's, or one sequence's."""
    gru = cgru.GRU(INPUTS, H, 2, rng=1, batch_first=batch_first)
    gru.save("m.safetensors")
    x = np.ascontiguousarray(x.swapaxes(0, 1)) if batch_first else x
    h_0 = rng.normal(size=(2, N, H)).astype(np.float32)
    lengths = [9, 4, 2]
    y, _ = gru(x, h_0, lengths=lengths)
    one = np.ascontiguousarray(x[0] if batch_first else x[:, 0])
    for name, array in {"x": x, "y": y, "h": h_0, "one": one, "y1": gru(one)[0]}.items():
        np.save(f"{name}.npy", array)
        array.tofile(f"{name}.f32")
    with open("lengths.txt", "w") as file:
        file.write("9 4 2")
    more = ["--h0", "h.f32", "--lengths", "lengths.txt"]
    assert ended("m.safetensors", "x.npy", "y.f32", *more) == 0
    assert ended("m.safetensors", "x.f32", "y.npy", *more) == 0
    assert ended("m.safetensors", "one.f32", "y1.f32") == 0
    capsys.readouterr()
    assert ended("m.safetensors", "x.npy", "y1.f32") == 2
    assert "y1.f32 has 180 bytes, which is no array of float32 of shape" in capsys.readouterr().err

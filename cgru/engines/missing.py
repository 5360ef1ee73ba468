"""What is said where SciPy's BLAS, which "blas" and "backward" call, is not there."""


class NoScipy(ImportError):
    """SciPy's BLAS is asked for, and SciPy is missing or cannot be used. float32 on "packed" does without it."""


def no_scipy(name: str, error: Exception, isa: str, fused: bool) -> NoScipy:
    """The error for a module that could not be imported.

    Parameters
    ----------
    name : str
        "blas" or "backward".
    error : Exception
        What its import raised: an old or a broken SciPy fails in many ways.
    isa : str
        The instruction set in force.
    fused : bool
        Whether it has fused multiply-adds; without them "auto" takes "blas" for float32 too.
    """
    if isinstance(error, ModuleNotFoundError) and error.name == "scipy":
        why = "is not installed: pip install scipy"
    else:
        why = f"cannot be used ({type(error).__name__}: {error}): pip install --upgrade scipy"
    if name == "backward":
        return NoScipy(f"gradients need SciPy, which {why}; without it float32 models compute, but do not train")
    float32 = "" if fused else f", and float32 on {isa}, which has no fused multiply-adds"
    return NoScipy(
        f"engine 'blas' (for float64{float32}) needs SciPy, which {why}; "
        "or take dtype float32 and engine 'packed', which does without"
    )


class NoEngine(RuntimeError):
    """The machine can run none of the modules in this installation."""

"""Argument checks: one ValueError each, naming the argument, its value and what was expected."""

import numpy as np


def finite_array(name, value, shape):
    """Return `value` as a float64 array of the given shape, without a copy where possible.

    name : str, the argument's name in the message
    value : array-like
    shape : tuple of int (that length) and str (any length; the axis letter in the message)
    Returns : (shape) float64
    Raises : ValueError if `value` is not numeric, has another shape, or holds a NaN or an infinity
    """
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers, got {value!r}") from error
    fits = array.ndim == len(shape) and all(
        isinstance(want, str) or have == want for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join(str(axis) for axis in shape) + ("," if len(shape) == 1 else "")
        raise ValueError(f"{name} must have shape ({wanted}), got {array.shape}")
    if not np.isfinite(array).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite, got {array[index]} at index {index}")
    return array


def freeze(record, arrays):
    """Set fields of a frozen dataclass to read-only copies of arrays, given by name."""
    for name, array in arrays.items():
        own = array.copy()
        own.setflags(write=False)
        object.__setattr__(record, name, own)


def positive(name, value):
    """Return `value` as a float that is finite and greater than zero, or raise ValueError."""
    number = _number(name, value)
    if not number > 0:
        raise ValueError(f"{name} must be greater than 0, got {value!r}")
    return number


def not_negative(name, value):
    """Return `value` as a float that is finite and at least zero, or raise ValueError."""
    number = _number(name, value)
    if number < 0:
        raise ValueError(f"{name} must be at least 0, got {value!r}")
    return number


def whole(name, value, least=1):
    """Return `value` as an int that is at least `least`, or raise ValueError."""
    number = _number(name, value)
    if not number.is_integer() or number < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(number)


def whole_steps(name, duration, dt, least=1):
    """Return how many steps dt there are in `duration`, or raise ValueError unless it is whole."""
    ratio = (positive if least else not_negative)(name, duration) / dt
    steps = round(ratio)
    # Decimal fractions of a second are not exact: 0.3/0.1 is 2.9999999999999996.
    if abs(ratio - steps) > 1e-6 * max(ratio, 1.0) or steps < least:
        raise ValueError(f"{name} must be a whole number of steps dt = {dt:g}, got {duration!r}")
    return steps


def _number(name, value):
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a number, got {value!r}") from error
    if not np.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return number

"""Scalar nonlinearities phi from current to rate, each with its derivative."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import erf, expit


class Nonlinearity(NamedTuple):
    """A function phi applied to each neuron.

    name : str
    function : elementwise phi, float64 array -> array of the same shape
    derivative : elementwise phi', likewise
    bound : supremum of |phi|, inf if there is none
    """

    name: str
    function: Callable
    derivative: Callable
    bound: float = np.inf


def _relu(x):
    return np.maximum(x, 0.0)


def _relu_derivative(x):
    return (x > 0).astype(float)


def _tanh_derivative(x):
    return 1.0 - np.tanh(x) ** 2


def _erf_derivative(x):
    return 2.0 / np.sqrt(np.pi) * np.exp(-(x**2))


def _sigmoid_derivative(x):
    rate = expit(x)
    return rate * (1.0 - rate)


TANH = Nonlinearity("tanh", np.tanh, _tanh_derivative, bound=1.0)
RELU = Nonlinearity("relu", _relu, _relu_derivative)
ERF = Nonlinearity("erf", erf, _erf_derivative, bound=1.0)  # slope 2/sqrt(pi) at 0, unlike tanh
SIGMOID = Nonlinearity("sigmoid", expit, _sigmoid_derivative, bound=1.0)
LINEAR = Nonlinearity("linear", np.positive, np.ones_like)

NONLINEARITIES = {phi.name: phi for phi in (TANH, RELU, ERF, SIGMOID, LINEAR)}


def nonlinearity(phi):
    """Return the `Nonlinearity` that `phi` names, or `phi` itself if it is one already.

    Raises : ValueError for an unknown name, and for a bare function, whose derivative is missing
    """
    if isinstance(phi, Nonlinearity):
        return phi
    if isinstance(phi, str) and phi in NONLINEARITIES:
        return NONLINEARITIES[phi]
    raise ValueError(
        f"phi must be one of {', '.join(NONLINEARITIES)} or a Nonlinearity(name, function, "
        f"derivative), got {phi!r}"
    )

"""How fast neighbouring solutions of a field part, and how long a model of it predicts.

Fields are the two functions of `lrnn.orbits`.
"""

import math
from typing import NamedTuple

import numpy as np

from lrnn._check import finite_array, not_negative, positive
from lrnn.orbits import variational
from lrnn.simulate import DivergenceError


class Lyapunov(NamedTuple):
    """Lyapunov exponents, the largest first up to their errors.

    exponents : (n,), 1/s, mean over the trials
    standard_error : (n,), 1/s, of that mean
    trials : (B, n), 1/s, of each trial over the finite duration
    """

    exponents: np.ndarray
    standard_error: np.ndarray
    trials: np.ndarray


class ValidTime(NamedTuple):
    """time : (B,), s since the first sample; censored : (B,) bool, no failure within the samples.

    Where `censored`, `time` is that of the last sample, and only a lower bound.
    """

    time: np.ndarray
    censored: np.ndarray


def lyapunov_exponents(rhs, jacobian, z0, *, dt, duration, transient, n=None, renormalise=10):
    """Growth rates of n tangent vectors along solutions, by QR decomposition.

    State and tangent vectors take steps of the classical Runge-Kutta method of order 4, all trials
    at once; every so often the vectors are made orthonormal again, and the logarithms of what that
    divides out add up (Benettin et al. 1980). The method's error falls as dt^4. The standard error
    covers the spread between trials only, which must be independent of one another: starts on one
    orbit have to be many Lyapunov times apart.

    rhs : (..., R) -> (..., R), latent units per s
    jacobian : (..., R) -> (..., R, R), its derivative, 1/s
    z0 : (B, R), the starts, B >= 2
    dt : float, s, > 0
    duration : float, s, > 0, of the average, for each trial
    transient : float, s, >= 0, before it, for the states to come to the attractor and the vectors
        to turn; this and the duration are rounded up to a whole number of renormalisations
    n : int, 1 to R, how many exponents; all R without it
    renormalise : int, >= 1, steps between renormalisations
    Returns : Lyapunov
    Raises : ValueError if a shape disagrees or a number is out of range; DivergenceError at the
        first renormalisation that finds a value that is not finite
    """
    z0 = finite_array("z0", z0, ("B", "R"))
    B, R = z0.shape
    if B < 2:
        raise ValueError(f"z0 must hold at least two trials, for a standard error, got {B}")
    n = R if n is None else n
    if not 1 <= n <= R:
        raise ValueError(f"n must be from 1 to {R}, got {n!r}")
    if renormalise < 1:
        raise ValueError(f"renormalise must be at least 1, got {renormalise!r}")
    interval = positive("dt", dt) * renormalise
    counted = _whole(positive("duration", duration) / interval)
    settling = _whole(not_negative("transient", transient) / interval)
    field = variational(rhs, jacobian, z0)

    # Generic directions: in a field that does not couple its axes, an axis stays what it is.
    start = np.linalg.qr(np.cos(np.outer(np.arange(1, R + 1), np.arange(1, n + 1))))[0]
    y = np.hstack([z0, np.tile(start.ravel(), (B, 1))])
    growth = np.zeros((B, n))
    for block in range(settling + counted):
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(renormalise):
                y = _rk4(field, y, dt)
        if not np.isfinite(y).all():
            raise DivergenceError((block + 1) * interval, f"try a smaller dt than {dt:g} s")
        q, r = np.linalg.qr(y[:, R:].reshape(B, R, n))
        y[:, R:] = q.reshape(B, -1)
        if block >= settling:
            growth += np.log(np.abs(np.diagonal(r, axis1=1, axis2=2)))
    trials = growth / (counted * interval)
    return Lyapunov(trials.mean(axis=0), trials.std(axis=0, ddof=1) / np.sqrt(B), trials)


def valid_time(reference, predicted, t, *, threshold=0.4, scale=None):
    """For how long each prediction stays within a threshold of the reference.

    The first sample at which |predicted - reference| > threshold scale, with the Euclidean norm
    over the R coordinates. A prediction that is not finite has failed. Pathak et al. (2018) use the
    same threshold, and as scale the reference's root mean square about zero; about its mean, as
    here, it does not depend on the origin (Vlachas et al. 2020, who scale each coordinate by its
    own standard deviation).

    reference : (B, T, R)
    predicted : (B, T, R), NaN or infinite where the model diverged
    t : (T,), s, increasing
    threshold : float, > 0, dimensionless
    scale : float, > 0, latent units; without it the root mean square over all samples of the
        reference's distance from its mean
    Returns : ValidTime
    Raises : ValueError if a shape disagrees, or the scale is not given and the reference constant
    """
    reference = finite_array("reference", reference, ("B", "T", "R"))
    predicted = np.asarray(predicted, dtype=float)
    if predicted.shape != reference.shape:
        raise ValueError(
            f"predicted must have the shape of reference, {reference.shape}, got {predicted.shape}"
        )
    t = finite_array("t", t, (reference.shape[1],))
    if len(t) < 2 or (np.diff(t) <= 0).any():
        raise ValueError("t must hold at least two increasing times")
    if scale is None:
        deviation = reference - reference.mean(axis=(0, 1))
        scale = np.sqrt(np.mean(np.sum(deviation**2, axis=-1)))
    limit = positive("threshold", threshold) * positive("scale", scale)
    # Written so that NaN counts as beyond the limit.
    beyond = ~(np.linalg.norm(predicted - reference, axis=-1) <= limit)
    censored = ~beyond.any(axis=1)
    last = np.where(censored, len(t) - 1, beyond.argmax(axis=1))
    return ValidTime(t[last] - t[0], censored)


def _rk4(field, y, dt):
    first = field(y)
    second = field(y + 0.5 * dt * first)
    third = field(y + 0.5 * dt * second)
    fourth = field(y + dt * third)
    return y + dt / 6 * (first + 2 * (second + third) + fourth)


def _whole(number):
    """Rounded up, but not for round-off: 0.3/0.1 is 3."""
    return math.ceil(number * (1 - 1e-12))

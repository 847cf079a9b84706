"""Velocities from recorded trajectories: where a target is known by its data only.

Trajectories are (B, T, R), sampled at equal intervals. Noise is what makes this hard: differences
divide it by the interval.
"""

from typing import NamedTuple

import numpy as np
from scipy.interpolate import make_smoothing_spline
from scipy.signal import savgol_filter

from lrnn._check import finite_array, positive


class Motion(NamedTuple):
    """States and the velocities estimated there.

    state : (B, T', R)
    velocity : (B, T', R), state units per s
    """

    state: np.ndarray
    velocity: np.ndarray


def points(motion):
    """Trials and times of a `Motion` as points: state (P, R) and velocity (P, R)."""
    R = motion.state.shape[-1]
    return motion.state.reshape(-1, R), motion.velocity.reshape(-1, R)


def central_differences(path, *, dt):
    """(x_{k+1} - x_{k-1}) / (2 dt) at every inner sample, the estimate that the paper names.

    Exact up to terms in dt^2; noise of standard deviation s becomes s / (sqrt(2) dt).

    path : (B, T, R), T >= 3; dt : float, s, > 0
    Returns : Motion with T' = T - 2
    Raises : ValueError if a shape disagrees, a value is not finite, or there are too few samples
    """
    path = _path(path, 3)
    return Motion(path[:, 1:-1], (path[:, 2:] - path[:, :-2]) / (2 * positive("dt", dt)))


def savitzky_golay(path, *, dt, window, order=3):
    """Least-squares polynomials in a moving window (Savitzky & Golay 1964; scipy).

    path : (B, T, R)
    dt : float, s, > 0
    window : int, samples, odd, greater than `order`, at most T
    order : int, >= 1, degree of the polynomials
    Returns : Motion with T' = T - window + 1: only samples with a whole window around them
    Raises : ValueError if a shape disagrees, a value is not finite, or window or order is unfit
    """
    path, dt = _path(path, 2), positive("dt", dt)
    if window % 2 == 0 or not 1 <= order < window <= path.shape[1]:
        raise ValueError(
            f"window must be odd, greater than order and at most {path.shape[1]} samples, "
            f"got window = {window}, order = {order}"
        )
    whole = slice(window // 2, path.shape[1] - window // 2)
    smooth, slope = (
        savgol_filter(path, window, order, deriv=d, delta=dt, axis=1)[:, whole] for d in (0, 1)
    )
    return Motion(smooth, slope)


def smoothing_spline(path, *, dt, trim=0):
    """Cubic smoothing splines, their stiffness set by generalised cross-validation.

    Craven & Wahba (1979) and Woltring (1986), by scipy. Each trial and channel finds its own
    stiffness, so there is no window to choose. Both state and velocity come from the spline: noise
    in the state would bias a regression too.

    path : (B, T, R), T >= 5
    dt : float, s, > 0
    trim : int, samples to leave out at both ends, where the slope is known worst
    Returns : Motion with T' = T - 2 trim
    Raises : ValueError if a shape disagrees, a value is not finite, or too few samples are left
    """
    path, dt = _path(path, 5), positive("dt", dt)
    if not 0 <= 2 * trim < path.shape[1]:
        raise ValueError(f"trim must leave a sample of {path.shape[1]}, got {trim}")
    t = dt * np.arange(path.shape[1])
    state, velocity = np.empty_like(path), np.empty_like(path)
    for trial, channel in np.ndindex(len(path), path.shape[2]):
        spline = make_smoothing_spline(t, path[trial, :, channel])
        state[trial, :, channel] = spline(t)
        velocity[trial, :, channel] = spline.derivative()(t)
    inner = slice(trim, path.shape[1] - trim)
    return Motion(state[:, inner], velocity[:, inner])


def _path(path, least):
    path = finite_array("path", path, ("B", "T", "R"))
    if path.shape[1] < least:
        raise ValueError(f"path must have at least {least} samples, got shape {path.shape}")
    return path

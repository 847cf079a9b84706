"""Time-varying inputs: signals of time, random signals, and what the membrane makes of them.

A deterministic signal is a function of time, scalar or array, so that the adaptive integrator and
the Euler method can use the same one. `channels` stacks sampled signals into trials (B, T, D). A
`FilteredInput` is an input known on both sides of the membrane, before it and behind it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.signal import lfilter

from lrnn._check import finite_array, not_negative, positive


class FilteredInput(NamedTuple):
    """D input channels as they are sent, u, and as neurons see them, tau dv/dt = -v + u.

    Both are functions of time (s): t (...) -> (..., D). A network in current form is run with
    u from v0 = v(t[0]); one in rate form sees what it is sent, and v itself can be sent to it.
    """

    u: Callable
    v: Callable


def held(*levels):
    """Channels that have always been constant: u = v = levels, one number each."""
    level = finite_array("levels", levels, ("D",))

    def signal(t):
        return np.broadcast_to(level, (*np.shape(t), len(level)))

    return FilteredInput(signal, signal)


def clamped(*, tau, amplitude=1.0):
    """One channel, zero before t = 0 and `amplitude` from there on: v = amplitude (1 - e^{-t/tau}).

    tau : float, time constant of the network, s, > 0
    """
    tau = positive("tau", tau)

    def u(t):
        return step(t, onset=0.0, amplitude=amplitude)[..., None]

    def v(t):
        return u(t) - exponential_decay(t, tau=tau, amplitude=amplitude)[..., None]

    return FilteredInput(u, v)


def decaying(*time_constants, tau, amplitude=1.0):
    """Channels that have v = amplitude e^{-t/time_constant}, from t = 0 on.

    The input that does it is u = (1 - tau/time_constant) v: none at all where the time constant is
    the network's own, for then v is what is left of the kick that made v(0).

    time_constants : D floats, s, > 0
    tau : float, time constant of the network, s, > 0
    """
    own = np.array([positive("time_constants", each) for each in time_constants])
    sent = 1.0 - positive("tau", tau) / own

    def v(t):
        return amplitude * np.exp(-np.asarray(t)[..., None] / own)

    return FilteredInput(lambda t: sent * v(t), v)


def sampled(t, v, *, tau):
    """The input behind any given v: a cubic spline through its samples, and u = v + tau dv/dt.

    t : (T,), s, increasing, at least two
    v : (T, D), what the neurons should see at these times
    tau : float, time constant of the network, s, > 0
    Returns : FilteredInput, defined from t[0] to t[-1] and nan outside
    Raises : ValueError if a shape disagrees, t does not increase or tau is not positive
    """
    t, tau = finite_array("t", t, ("T",)), positive("tau", tau)
    v = finite_array("v", v, (len(t), "D"))
    if len(t) < 2 or (np.diff(t) <= 0).any():
        raise ValueError("t must hold at least two increasing times")
    spline = CubicSpline(t, v, extrapolate=False)
    slope = spline.derivative()
    return FilteredInput(lambda time: spline(time) + tau * slope(time), spline)


def joined(*inputs):
    """The channels of several inputs side by side, one FilteredInput."""

    def signal(side):
        return lambda t: np.concatenate([getattr(each, side)(t) for each in inputs], axis=-1)

    return FilteredInput(signal("u"), signal("v"))


def step(t, *, onset, amplitude=1.0):
    """`amplitude` from `onset` (s) on, zero before; the shape of t (s)."""
    return np.where(np.asarray(t) >= onset, amplitude, 0.0)


def pulse(t, *, onset, width, amplitude=1.0):
    """`amplitude` from `onset` (s) for `width` (s, > 0), zero otherwise; the shape of t (s)."""
    since = np.asarray(t) - onset
    return np.where((since >= 0) & (since < positive("width", width)), amplitude, 0.0)


def exponential_decay(t, *, tau, onset=0.0, amplitude=1.0):
    """amplitude exp(-(t - onset)/tau) from `onset` (s) on, zero before; the shape of t (s).

    With the network's own tau it is also the filtered input v after a brief pulse.
    """
    since = np.asarray(t, dtype=float) - onset
    decay = np.exp(-np.maximum(since, 0.0) / positive("tau", tau))
    return np.where(since >= 0, amplitude * decay, 0.0)


def channels(*signals):
    """Stack D signals of shape (T,) into one trial, (1, T, D).

    Raises : ValueError if there are none or their shapes differ
    """
    if not signals:
        raise ValueError("channels needs at least one signal, got none")
    first = finite_array("signal 0", signals[0], ("T",))
    rows = [finite_array(f"signal {i}", s, first.shape) for i, s in enumerate(signals)]
    return np.stack(rows, axis=-1)[None]


def silence(n_steps, n_channels=0):
    """No input, (1, T, D) zeros: what an autonomous network is simulated with."""
    return np.zeros((1, n_steps, n_channels))


def ornstein_uhlenbeck(shape, *, dt, tau, std=1.0, mean=0.0, rng):
    """Samples of a stationary Ornstein-Uhlenbeck process by its exact update, for any dt.

    s_{k+1} = mean + (s_k - mean) e^{-dt/tau} + std sqrt(1 - e^{-2 dt/tau}) xi_k, started from its
    stationary law N(mean, std^2); autocovariance std^2 e^{-|lag|/tau}.

    shape : (B, T, D), trials, samples, channels, all independent but along T
    dt : float, interval between samples, s, > 0
    tau : float, correlation time, s, > 0
    std : float, stationary standard deviation, >= 0
    mean : float
    rng : numpy Generator
    Returns : (B, T, D)
    Raises : ValueError if an argument is out of range
    """
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"shape must be (B, T, D) with every length at least 1, got {shape}")
    keep = np.exp(-positive("dt", dt) / positive("tau", tau))
    noise = rng.standard_normal(shape)
    noise[:, 1:] *= np.sqrt(1.0 - keep**2)
    return mean + not_negative("std", std) * lfilter([1.0], [1.0, -keep], noise, axis=1)


def white_noise(shape, *, noise, dt, rng):
    """White noise in steps: noise/sqrt(dt) times a standard normal number in each.

    Its integral over a second has variance noise^2 at any dt, and noise^2 is its two-sided power
    spectral density.

    shape : tuple of int
    noise : float, >= 0, intensity, signal times sqrt(s)
    dt : float, s, > 0
    rng : numpy Generator
    Returns : an array of that shape
    Raises : ValueError if an argument is out of range
    """
    scale = not_negative("noise", noise) / np.sqrt(positive("dt", dt))
    return scale * rng.standard_normal(shape)


def low_pass(u, *, dt, tau, v0=0.0):
    """The filtered input v of tau dv/dt = -v + u, exactly, for u constant within each step.

    v_{k+1} = e^{-dt/tau} v_k + (1 - e^{-dt/tau}) u_k

    u : (B, T, D), u[:, k] acts from t_k to t_{k+1}
    dt : float, s, > 0
    tau : float, s, > 0
    v0 : float or broadcastable to (B, D), v at t = 0
    Returns : (B, T + 1, D), at the times of the states that `lrnn.simulate` returns
    Raises : ValueError if a shape disagrees or dt or tau is not positive
    """
    return _leaky_sum(u, np.exp(-positive("dt", dt) / positive("tau", tau)), v0)


def low_pass_euler(u, *, dt, tau, v0=0.0):
    """`low_pass` by Euler's method, v_{k+1} = v_k + (dt/tau) (u_k - v_k).

    To round-off what `simulate` and `simulate_latent` use; arguments as for `low_pass`.
    """
    return _leaky_sum(u, 1.0 - positive("dt", dt) / positive("tau", tau), v0)


def _leaky_sum(u, keep, v0):
    u = finite_array("u", u, ("B", "T", "D"))
    try:
        first = np.broadcast_to(np.asarray(v0, dtype=float), (u.shape[0], u.shape[2]))[:, None]
    except ValueError as error:
        raise ValueError(
            f"v0 must broadcast to (B, D) = {(u.shape[0], u.shape[2])}, got shape {np.shape(v0)}"
        ) from error
    arriving = np.concatenate([first, (1.0 - keep) * u], axis=1)
    return lfilter([1.0], [1.0, -keep], arriving, axis=1)

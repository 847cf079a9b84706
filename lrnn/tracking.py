"""Ornstein-Uhlenbeck signals to be tracked, cleaned, integrated or chosen, and the best filters.

The trials are `lrnn.tasks.Trials`, with that module's conventions of time, noise and errors.
"""

from typing import NamedTuple

import numpy as np

from lrnn._check import not_negative, positive, whole, whole_steps
from lrnn.inputs import low_pass, ornstein_uhlenbeck, white_noise
from lrnn.tasks import Trials


class WienerFilter(NamedTuple):
    """The optimal causal filter in continuous time, ds/dt = -rate s + gain u.

    rate : float, 1/s
    gain : float, 1/s
    error : float, mean squared error in the steady state
    """

    rate: float
    gain: float
    error: float


class KalmanFilter(NamedTuple):
    """The optimal causal filter in steps, s_k = pole s_{k-1} + gain u_k.

    pole : float, in [0, 1)
    gain : float, in (0, 1]
    error : float, mean squared error in the steady state
    """

    pole: float
    gain: float
    error: float


def ou_tracking(
    n_trials, *, n_signals=1, duration=20.0, dt=0.1, tau=5.0, std=1.0, warm_up=0.0, rng
):
    """Report Ornstein-Uhlenbeck signals that are themselves the input, one output a signal.

    Target k is input k. The optimal error is 0, that of the best constant is std^2. Two signals
    are `n_signals=2`.

    n_trials, n_signals : int, >= 1, B and D = O; signals are independent
    duration, dt : float, s, > 0
    tau : float, s, > 0, correlation time of the signals
    std : float, > 0, their standard deviation; their mean is 0
    warm_up : float, s, >= 0, not scored at the start
    rng : numpy Generator
    Returns : Trials without conditions
    Raises : ValueError if an argument is out of range or a duration is no multiple of dt
    """
    return _ou(n_trials, n_signals, duration, dt, tau, std, warm_up, rng)


def ou_denoising(
    n_trials,
    *,
    n_signals=1,
    duration=20.0,
    dt=0.1,
    tau=5.0,
    std=1.0,
    noise=1.0,
    warm_up=0.0,
    rng,
):
    """Report Ornstein-Uhlenbeck signals from inputs to which white noise is added.

    The smallest possible error, for linear and nonlinear systems alike, is that of `kalman_filter`
    with this dt, once its start is forgotten (`warm_up`); `wiener_filter` is its limit for short
    steps. The error of the best constant is std^2.

    The other arguments, the result and the errors are those of `ou_tracking`.

    noise : float, >= 0, intensity of the white noise, signal times sqrt(s)
    """
    clean = _ou(n_trials, n_signals, duration, dt, tau, std, warm_up, rng)
    added = white_noise(clean.inputs.shape, noise=noise, dt=dt, rng=rng)
    return clean._replace(inputs=clean.inputs + added)


def ou_integration(
    n_trials,
    *,
    n_signals=1,
    duration=20.0,
    dt=0.1,
    tau=5.0,
    std=1.0,
    tau_integral=10.0,
    warm_up=0.0,
    rng,
):
    """Report the leaky integral y of an Ornstein-Uhlenbeck signal s, from y = 0 at t = 0.

        tau_integral dy/dt = -y + s

    exactly, for the signal held in each step (`inputs.low_pass`). The optimal error is 0. That of
    the best constant is the variance of y, which tends to std^2 tau/(tau + tau_integral) for short
    steps, once t is much longer than both.

    The other arguments, the result and the errors are those of `ou_tracking`.

    tau_integral : float, s, > 0
    """
    leak = positive("tau_integral", tau_integral)
    trials = _ou(n_trials, n_signals, duration, dt, tau, std, warm_up, rng)
    return trials._replace(targets=low_pass(trials.inputs, dt=dt, tau=leak)[:, 1:])


def ou_switch(
    n_trials,
    *,
    duration=20.0,
    dt=0.1,
    tau=5.0,
    std=1.0,
    noise=0.0,
    mean_dwell=None,
    warm_up=0.0,
    rng,
):
    """Report whichever of two Ornstein-Uhlenbeck signals a cue names.

    Channels 0 and 1 are the signals, channel 2 is the cue, +1 for the first and -1 for the second.
    Either is equally likely at the start; the cue then changes at a constant rate.

    The optimal error is 0, or that of `kalman_filter` with noise, also right after a change, since
    both signals can be filtered all the time. The best that ignores the cue is their mean, with
    error std^2/2 (without noise); the best constant has std^2.

    The other arguments, the result and the errors are those of `ou_tracking`.

    noise : float, >= 0, intensity of white noise on both signals; the cue has none
    mean_dwell : float, s, > 0, mean time between changes of the cue; without it, it never changes
    """
    both = _ou(n_trials, 2, duration, dt, tau, std, warm_up, rng)
    B, T, _ = both.inputs.shape
    flips = 0.0 if mean_dwell is None else -np.expm1(-dt / positive("mean_dwell", mean_dwell))
    first = rng.choice([-1.0, 1.0], (B, 1))
    changes = np.cumsum(rng.random((B, T - 1)) < flips, axis=1)
    cue = first * np.concatenate([np.ones((B, 1)), (-1.0) ** changes], axis=1)
    named = np.where(cue > 0, both.targets[..., 0], both.targets[..., 1])[..., None]
    seen = both.inputs + white_noise(both.inputs.shape, noise=noise, dt=dt, rng=rng)
    inputs = np.concatenate([seen, cue[..., None]], axis=2)
    return both._replace(inputs=inputs, targets=named, scored=both.scored[..., :1])


def wiener_filter(*, tau, std=1.0, noise):
    """The optimal causal filter of an Ornstein-Uhlenbeck signal in white noise, continuous time.

        rate = sqrt(1/tau^2 + 2 std^2/(tau noise^2)), gain = rate - 1/tau, error = noise^2 gain

    tau : float, s, > 0, correlation time of the signal
    std : float, > 0, standard deviation of the signal
    noise : float, > 0, intensity of the white noise, signal times sqrt(s)
    Returns : WienerFilter
    Raises : ValueError if an argument is not positive
    """
    leak, power = 1.0 / positive("tau", tau), positive("noise", noise) ** 2
    supply = 2.0 * positive("std", std) ** 2 * leak / power
    rate = np.sqrt(leak**2 + supply)
    gain = supply / (rate + leak)  # rate - leak, without its cancellation in heavy noise
    return WienerFilter(float(rate), float(gain), float(power * gain))


def kalman_filter(*, dt, tau, std=1.0, noise):
    """The optimal causal filter for the samples of `ou_denoising`: the steady Kalman filter.

    The signal is exact, s_{k+1} = a s_k + white with a = exp(-dt/tau), and the noise of one step
    has variance noise^2/dt. The error is that of s_k given u_0 to u_k, with an endless past. A
    linear network in Euler steps has this pole where its matrix has the eigenvalue
    1 - (1 - pole) tau_network/dt.

    dt : float, s, > 0
    tau, std : as for `wiener_filter`
    noise : float, >= 0
    Returns : KalmanFilter
    Raises : ValueError if an argument is out of range
    """
    dt, spread = positive("dt", dt), positive("std", std)
    keep = np.exp(-2.0 * dt / positive("tau", tau))
    step, power = spread**2 * (1.0 - keep), not_negative("noise", noise) ** 2 / dt
    # The variance v before u_k is seen solves v = keep v power/(v + power) + step.
    half = 0.5 * (step - power * (1.0 - keep))
    before = half + np.hypot(half, np.sqrt(step * power))
    gain = before / (before + power)
    pole = np.sqrt(keep) * power / (before + power)
    return KalmanFilter(float(pole), float(gain), float(gain * power))


def _ou(n_trials, n_signals, duration, dt, tau, std, warm_up, rng):
    """Trials whose inputs and targets are both the signals."""
    B, D, dt = whole("n_trials", n_trials), whole("n_signals", n_signals), positive("dt", dt)
    T, skip = whole_steps("duration", duration, dt), whole_steps("warm_up", warm_up, dt, least=0)
    if skip >= T:
        raise ValueError(f"warm_up must be shorter than duration = {duration}, got {warm_up}")
    signal = ornstein_uhlenbeck((B, T, D), dt=dt, tau=tau, std=positive("std", std), rng=rng)
    scored = np.broadcast_to((np.arange(T) >= skip)[:, None], signal.shape).copy()
    return Trials(signal, signal.copy(), scored, dt, {})

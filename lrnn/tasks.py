"""Trials of tasks that recurrent networks are trained on, and what chance and the optimum reach.

A task is one function that draws `Trials`. Input u[:, k] acts from t_k = k dt to t_{k+1}, and
target k belongs to the time t_{k+1} at which that input has just ended: it is what a causal system
can have made of the inputs 0 to k. In arrays of states of `lrnn.simulate` (T + 1 of them, from
t = 0 on) it belongs to index k + 1, so that outputs to be scored are `path[:, 1:]`. A signal that
is sampled at t_k is held until t_{k+1}; a target that equals the signal is its value in that step.

Times are in seconds, and each duration must be a whole number of steps dt. White noise of
intensity `noise` is noise/sqrt(dt) times a standard normal number in each step: its integral over
a second has variance noise^2 at any dt, and noise^2 is its two-sided power spectral density. Noise
is drawn last, so that one seed gives the same trials at every noise level.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr
from scipy.stats import binomtest

from lrnn import targets as target_systems
from lrnn._check import finite_array, not_negative, positive
from lrnn.inputs import low_pass, ornstein_uhlenbeck


class Trials(NamedTuple):
    """Trials of one task, all of one length.

    inputs : (B, T, D), input[:, k] acts from t_k to t_{k+1}
    targets : (B, T, O), target[:, k] belongs to t_{k+1}
    mask : (B, T) bool, the times at which all outputs count: `scored.all(axis=2)`
    dt : float, s
    condition : dict of arrays (B, ...), what each trial was; its keys are in the task's docstring
    scored : (B, T, O) bool, the entries of `targets` that count
    """

    inputs: np.ndarray
    targets: np.ndarray
    mask: np.ndarray
    dt: float
    condition: dict
    scored: np.ndarray

    @property
    def t(self):
        """The times of the targets, (T,), s: dt, 2 dt, ... T dt."""
        return self.dt * np.arange(1, self.inputs.shape[1] + 1)


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


class Psychometric(NamedTuple):
    """Probability of the choice +1 against evidence.

    evidence : (L,), increasing
    p_right : (L,), share of the trials in which the choice was +1
    low, high : (L,), ends of the exact binomial (Clopper-Pearson) interval
    n : (L,) int, trials
    """

    evidence: np.ndarray
    p_right: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: np.ndarray


class Chronometric(NamedTuple):
    """Decision time against evidence, over the trials that reached a bound.

    evidence : (L,), increasing
    mean : (L,), s; NaN without a decided trial
    standard_error : (L,), s; NaN with fewer than two
    n_decided : (L,) int
    n : (L,) int, trials, decided or not
    """

    evidence: np.ndarray
    mean: np.ndarray
    standard_error: np.ndarray
    n_decided: np.ndarray
    n: np.ndarray


def subset(trials, index):
    """Some of the trials, in the order of `index`: a slice, (K,) int or (B,) bool."""
    inputs, targets, mask, dt, condition, scored = trials
    chosen = {name: values[index] for name, values in condition.items()}
    return Trials(inputs[index], targets[index], mask[index], dt, chosen, scored[index])


# Memory


def flip_flop(
    n_trials,
    *,
    n_bits=3,
    duration=20.0,
    dt=0.2,
    pulse_width=1.0,
    min_gap=3.0,
    mean_extra_gap=3.0,
    grace=2.0,
    noise=0.0,
    rng,
):
    """The flip-flop of Sussillo & Barak (2013): each bit remembers the sign of its last pulse.

    Pulses of +1 or -1, equally likely, come independently in each channel. The first begins at
    t = 0, so that a bit always has a value; from onset to onset it is min_gap plus an exponential
    time, rounded to steps. The target of a bit changes at the onset and is scored again from
    `grace` seconds after it. The timing is ours.

    Chance is 1/2 in `bit_accuracy` and 1 in mean squared error (output zero). Without noise the
    optimum is an accuracy of 1 and an error of 0; with noise it is not known in closed form.

    n_trials, n_bits : int, >= 1, B and D = O
    duration, dt : float, s, > 0
    pulse_width, min_gap : float, s, > 0; min_gap, from onset to onset, is the longer one
    mean_extra_gap : float, s, >= 0
    grace : float, s, >= 0
    noise : float, >= 0, intensity of white noise on the input, pulse height times sqrt(s)
    rng : numpy Generator
    Returns : Trials without conditions
    Raises : ValueError if an argument is out of range or a duration is no multiple of dt
    """
    B, K, dt = _count("n_trials", n_trials), _count("n_bits", n_bits), positive("dt", dt)
    T, width = _steps("duration", duration, dt), _steps("pulse_width", pulse_width, dt)
    least, wait = _steps("min_gap", min_gap, dt), _steps("grace", grace, dt, least=0)
    if least <= width:
        raise ValueError(f"min_gap must be longer than pulse_width = {pulse_width}, got {min_gap}")
    extra = not_negative("mean_extra_gap", mean_extra_gap) / dt
    gaps = least + rng.exponential(extra, (B, (T - 1) // least, K))
    # Rounding the sum, and not each gap, leaves the mean gap as it is and none below min_gap.
    later = np.floor(np.cumsum(gaps, axis=1) + 0.5)
    onsets = np.concatenate([np.zeros((B, 1, K)), later], axis=1).astype(int)
    signs = rng.choice([-1.0, 1.0], onsets.shape)
    starts = np.zeros((B, T, K))
    trial, pulse, bit = np.nonzero(onsets < T)
    starts[trial, onsets[trial, pulse, bit], bit] = signs[trial, pulse, bit]
    step = np.arange(T)[:, None]
    latest = np.maximum.accumulate(np.where(starts != 0, step, 0), axis=1)
    memory = np.take_along_axis(starts, latest, axis=1)
    age = step - latest
    inputs = np.where(age < width, memory, 0.0) + _white(memory.shape, noise, dt, rng)
    return _trials(inputs, memory, age + 1 >= wait, dt, {})


def delayed_match(
    n_trials,
    *,
    n_stimuli=2,
    fixation=0.1,
    stimulus=0.5,
    delay=(0.5, 3.0),
    response=0.5,
    dt=0.02,
    noise=0.0,
    rng,
):
    """Delayed match to sample: was the second stimulus the same as the first?

    Stimulus i is a 1 in channel i. A trial is fixation, sample, delay (uniform in a range, rounded
    to steps), test, response; half the trials match, on average. In the response period the target
    is +1 for a match and -1 otherwise; only this period is scored. After it shorter trials are
    padded with silence to the length of the longest possible one. The durations are ours.

    Chance is 1/2, also from sample or test alone. Without noise the optimum is 1; with noise and
    two stimuli it is `ideal_match_accuracy`.

    n_trials : int, >= 1
    n_stimuli : int, >= 2, D
    fixation : float, s, >= 0
    stimulus, response, dt : float, s, > 0
    delay : (shortest, longest), s, >= 0
    noise : float, >= 0, intensity of white noise in every channel at all times
    rng : numpy Generator
    Returns : Trials with conditions sample and test (B,) int, delay (B,) s, and correct (B,), +-1
    Raises : ValueError if an argument is out of range or a duration is no multiple of dt
    """
    B, K, dt = _count("n_trials", n_trials), _count("n_stimuli", n_stimuli, 2), positive("dt", dt)
    shown, answer = _steps("stimulus", stimulus, dt), _steps("response", response, dt)
    sample_on = _steps("fixation", fixation, dt, least=0)
    ends = finite_array("delay", delay, (2,))
    shortest, longest = (_steps("delay", end, dt, least=0) for end in ends)
    if shortest > longest:
        raise ValueError(f"delay must be (shortest, longest), got {ends.tolist()}")
    match = rng.random(B) < 0.5
    sample = rng.integers(K, size=B)
    test = np.where(match, sample, (sample + rng.integers(1, K, size=B)) % K)
    waits = rng.integers(shortest, longest + 1, size=B)
    test_on = sample_on + shown + waits
    T = sample_on + 2 * shown + longest + answer
    step = np.arange(T)
    correct = np.where(match, 1.0, -1.0)
    inputs = np.zeros((B, T, K))
    for onset, which in ((np.full(B, sample_on), sample), (test_on, test)):
        on = _during(step, onset, shown)
        inputs += on[..., None] * (which[:, None, None] == np.arange(K))
    responding = _during(step, test_on + shown, answer)[..., None]
    inputs += _white(inputs.shape, noise, dt, rng)
    condition = {"sample": sample, "test": test, "delay": waits * dt, "correct": correct}
    return _trials(inputs, responding * correct[:, None, None], responding, dt, condition)


# Decisions


def decision(
    n_trials,
    *,
    coherence=(0.0, 0.05, 0.1, 0.2, 0.4),
    noise=0.3,
    stimulus=5.0,
    duration=10.0,
    dt=0.1,
    tau=1.0,
    teacher=None,
    z0=None,
    rng,
):
    """Binary decision: the output follows a bistable system that noisy evidence drives.

        tau dz/dt = z - z^3 + u,    u = evidence + white noise for t < stimulus, then 0

    This pitchfork normal form is what the difference of the two populations of `wong_wang` comes
    to where their symmetric state loses stability (Roxin & Ledberg 2008), in scaled time and
    amplitude. `teacher` puts another bistable system in its place: with
    `targets.cubic((-1.2, 0.2, 1.2))` one that is not odd.

    All times are scored against the teacher, a function of the inputs, so the optimal error is 0
    (Euler steps of the same dt); `chance_error` is that of a constant. As a choice about the sign
    of the evidence the teacher stays below `ideal_accuracy`, since it commits to its first
    impressions and weighs later evidence less: at evidence 0.1 about 0.70 against 0.77.

    n_trials : int, >= 1
    coherence : (L,), >= 0, strengths of the evidence, equally likely; either sign is
    noise : float, >= 0, intensity of the evidence's white noise
    stimulus, duration, dt : float, s, > 0; the evidence lasts from 0 to stimulus
    tau : float, s, > 0
    teacher : `targets.Target`, one dimension, three fixed points, the middle one unstable
    z0 : float, the state at t = 0; the unstable fixed point without it
    rng : numpy Generator
    Returns : Trials with conditions evidence (B,), with its sign, and correct (B,), its sign or 0
    Raises : ValueError if an argument is out of range, a duration is no multiple of dt, or dt is
        too long for the teacher
    """
    B, dt = _count("n_trials", n_trials), positive("dt", dt)
    T, shown = _steps("duration", duration, dt), _steps("stimulus", stimulus, dt)
    if shown > T:
        raise ValueError(f"stimulus must be at most duration = {duration}, got {stimulus}")
    evidence = _signed(rng, _levels(coherence), B)
    on = (np.arange(T) < shown)[:, None]
    inputs = on * (evidence[:, None, None] + _white((B, T, 1), noise, dt, rng))
    path = teacher_response(inputs, dt=dt, tau=tau, teacher=teacher, z0=z0)
    condition = {"evidence": evidence, "correct": np.sign(evidence)}
    return _trials(inputs, path, np.ones(path.shape, dtype=bool), dt, condition)


def teacher_response(u, *, dt, tau=1.0, teacher=None, z0=None):
    """The targets of `decision` for given inputs: Euler steps of tau dz/dt = g(z) + u.

    u : (B, T, 1)
    dt, tau, teacher, z0 : as for `decision`
    Returns : (B, T, 1), z at t_1 to t_T
    Raises : ValueError as `decision`
    """
    u = finite_array("u", u, ("B", "T", 1))
    rate = positive("dt", dt) / positive("tau", tau)
    teacher = target_systems.cubic() if teacher is None else teacher
    middle = separatrix(teacher)
    start = middle if z0 is None else float(finite_array("z0", z0, ()))
    z, path = np.full((len(u), 1), start), np.empty_like(u)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(u.shape[1]):
            z = z + rate * (teacher.rhs(z) + u[:, k])
            path[:, k] = z
    if not np.isfinite(path).all():
        raise ValueError(f"dt must be shorter for this teacher and input, which diverge, got {dt}")
    return path


def separatrix(teacher):
    """The unstable fixed point between the two stable ones of a bistable `targets.Target`, float.

    Raises : ValueError if the system is not bistable in one dimension
    """
    roots = np.sort(teacher.fixed_points, axis=0)
    if teacher.dimension == 1 and len(roots) == 3:
        slopes = teacher.jacobian(roots)[:, 0, 0]
        if slopes[0] < 0 < slopes[1] and slopes[2] < 0:
            return float(roots[1, 0])
    raise ValueError(
        "teacher must have one dimension and three fixed points, the middle one unstable, "
        f"got {teacher.name!r}"
    )


def context_decision(
    n_trials,
    *,
    coherence=(0.05, 0.1, 0.2, 0.4),
    noise=0.1,
    cue=0.2,
    stimulus=0.8,
    delay=0.1,
    response=0.2,
    dt=0.02,
    rng,
):
    """Context-dependent decision (Mante et al. 2013): the sign of the stream that the cue names.

    Channels 0 and 1 carry evidence with independent strengths, signs and white noise during the
    stimulus period; channels 2 and 3 are the contexts, of which one is 1 throughout. A trial is
    cue, stimulus, delay, response. The target is the sign of the relevant evidence in the response
    period, which alone is scored. The durations and strengths are ours.

    Chance is 1/2; whoever ignores the cue and follows one stream reaches the mean of chance and
    optimum. The optimum in `choice_accuracy` is the mean of `ideal_accuracy` over the strengths.

    n_trials : int, >= 1
    coherence : (L,), > 0, strengths of evidence, equally likely in each stream
    noise : float, >= 0, intensity of the white noise on each stream
    cue, delay : float, s, >= 0
    stimulus, response, dt : float, s, > 0
    rng : numpy Generator
    Returns : Trials with conditions context (B,), 0 or 1, evidence (B, 2) and correct (B,), +-1
    Raises : ValueError if an argument is out of range or a duration is no multiple of dt
    """
    B, dt = _count("n_trials", n_trials), positive("dt", dt)
    levels = _levels(coherence)
    if levels.min() == 0:
        raise ValueError(f"coherence must be greater than 0, got {levels.tolist()}")
    onset, pause = _steps("cue", cue, dt, least=0), _steps("delay", delay, dt, least=0)
    shown, answer = _steps("stimulus", stimulus, dt), _steps("response", response, dt)
    T = onset + shown + pause + answer
    context = rng.integers(2, size=B)
    evidence = _signed(rng, levels, (B, 2))
    correct = np.sign(evidence[np.arange(B), context])
    step = np.arange(T)
    on = _during(step, np.full(B, onset), shown)[..., None]
    streams = on * (evidence[:, None] + _white((B, T, 2), noise, dt, rng))
    cues = np.repeat(np.eye(2)[context][:, None], T, axis=1)
    responding = _during(step, np.full(B, T - answer), answer)[..., None]
    return _trials(
        np.concatenate([streams, cues], axis=2),
        responding * correct[:, None, None],
        responding,
        dt,
        {"context": context, "evidence": evidence, "correct": correct},
    )


def wong_wang_rates(s, *, coherence=0.0, mu0=30.0):
    """Firing rates of the two populations of Wong & Wang's reduced decision model, in Hz.

        rate = (a x - b)/(1 - exp(-d (a x - b))),
        x_1 = J11 s_1 - J12 s_2 + I0 + J_ext mu0 (1 + coherence),
        x_2 = J11 s_2 - J12 s_1 + I0 + J_ext mu0 (1 - coherence)

    with a = 270 Hz/nA, b = 108 Hz, d = 0.154 s, J11 = 0.2609 nA, J12 = 0.0497 nA, I0 = 0.3255 nA,
    J_ext = 0.00052 nA/Hz (Wong & Wang 2006, appendix: the version without recurrent AMPA). The
    noise of the paper, a current of time constant 2 ms and std 0.02 nA, is left out. Their
    decision is a rate above 15 Hz.

    s : (..., 2), gating variables, in [0, 1]
    coherence : float in [-1, 1], or an array of shape (...), positive for population 1
    mu0 : float, Hz, >= 0, stimulus strength; 0 before and after the stimulus
    Returns : (..., 2)
    Raises : ValueError if an argument is out of range
    """
    s = np.asarray(s, dtype=float)
    if s.ndim == 0 or s.shape[-1] != 2:
        raise ValueError(f"s must have shape (..., 2), got {s.shape}")
    c = np.asarray(coherence, dtype=float)[..., None]
    if not (np.abs(c) <= 1).all():
        raise ValueError(f"coherence must be between -1 and 1, got {coherence!r}")
    stimulus = 5.2e-4 * not_negative("mu0", mu0) * (1.0 + c * np.array([1.0, -1.0]))
    drive = 270.0 * (0.2609 * s - 0.0497 * s[..., ::-1] + 0.3255 + stimulus) - 108.0
    # drive/(1 - exp(-d drive)) is 1/d at 0; the formula itself is 0/0 there.
    near = np.abs(drive) < 1e-9
    safe = np.where(near, 1.0, drive)
    return np.where(near, 1 / 0.154 + drive / 2, safe / -np.expm1(-0.154 * safe))


def wong_wang(s, *, coherence=0.0, mu0=30.0):
    """Wong & Wang's (2006) reduced two-variable decision model: ds/dt, in 1/s.

        ds_i/dt = -s_i/tau_s + (1 - s_i) gamma rate_i,    tau_s = 0.1 s, gamma = 0.641

    Arguments, result and errors as for `wong_wang_rates`, which are the rates.
    """
    rates = wong_wang_rates(s, coherence=coherence, mu0=mu0)
    s = np.asarray(s, dtype=float)
    return -s / 0.1 + (1.0 - s) * 0.641 * rates


# Ornstein-Uhlenbeck signals


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
    signal, scored = _ou(n_trials, n_signals, duration, dt, tau, std, warm_up, rng)
    return _trials(signal.copy(), signal, scored, dt, {})


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
    signal, scored = _ou(n_trials, n_signals, duration, dt, tau, std, warm_up, rng)
    return _trials(signal + _white(signal.shape, noise, dt, rng), signal, scored, dt, {})


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
    signal, scored = _ou(n_trials, n_signals, duration, dt, tau, std, warm_up, rng)
    return _trials(signal, low_pass(signal, dt=dt, tau=leak)[:, 1:], scored, dt, {})


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
    signals, scored = _ou(n_trials, 2, duration, dt, tau, std, warm_up, rng)
    B, T, _ = signals.shape
    flips = 0.0 if mean_dwell is None else -np.expm1(-dt / positive("mean_dwell", mean_dwell))
    first = rng.choice([-1.0, 1.0], (B, 1))
    changes = np.cumsum(rng.random((B, T - 1)) < flips, axis=1)
    cue = first * np.concatenate([np.ones((B, 1)), (-1.0) ** changes], axis=1)
    named = np.where(cue > 0, signals[..., 0], signals[..., 1])[..., None]
    seen = signals + _white(signals.shape, noise, dt, rng)
    inputs = np.concatenate([seen, cue[..., None]], axis=2)
    return _trials(inputs, named, scored[..., :1], dt, {})


# Optima


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


def ideal_accuracy(evidence, *, noise, stimulus):
    """Accuracy of the ideal observer of constant evidence in white noise.

    The integral of the input is all that matters: Phi(|evidence| sqrt(stimulus)/noise), with Phi
    the normal distribution function, at any dt.

    evidence : (...), of either sign
    noise : float, > 0, intensity of the white noise
    stimulus : float, s, > 0, how long the evidence lasts
    Returns : (...), in [1/2, 1]
    Raises : ValueError if noise or stimulus is not positive
    """
    ratio = np.sqrt(positive("stimulus", stimulus)) / positive("noise", noise)
    return ndtr(np.abs(evidence) * ratio)


def ideal_match_accuracy(*, noise, stimulus):
    """Accuracy of the ideal observer in `delayed_match` with two stimuli.

    Each stimulus is told apart with probability p = Phi(sqrt(stimulus/2)/noise), and the answer is
    right if both or neither were: p^2 + (1 - p)^2.

    noise, stimulus : as for `ideal_accuracy`
    Returns : float
    """
    p = ideal_accuracy(1.0, noise=np.sqrt(2.0) * positive("noise", noise), stimulus=stimulus)
    return float(p**2 + (1.0 - p) ** 2)


def chance_error(trials):
    """Mean squared error, over the scored entries, of the best constant outputs: float."""
    counts = trials.scored.sum(axis=(0, 1))
    totals = np.where(trials.scored, trials.targets, 0.0).sum(axis=(0, 1))
    constant = totals / np.maximum(counts, 1)
    return mean_squared_error(np.broadcast_to(constant, trials.targets.shape), trials)


# Scores


def mean_squared_error(outputs, trials):
    """Mean of (output - target)^2 over the scored entries: float.

    outputs : (B, T, O), at the times of the targets
    trials : Trials
    Raises : ValueError if the shapes differ, an output is not finite or nothing is scored
    """
    return float(np.mean((_outputs(outputs, trials) - trials.targets)[trials.scored] ** 2))


def bit_accuracy(outputs, trials):
    """Share of the scored entries at which the output has the sign of the target: float.

    Arguments and errors as for `mean_squared_error`. An output of 0 is wrong.
    """
    return float(np.mean((_outputs(outputs, trials) * trials.targets > 0)[trials.scored]))


def whole_trial_accuracy(outputs, trials):
    """Share of the trials in which every scored entry has the sign of the target: float.

    Arguments and errors as for `mean_squared_error`.
    """
    right = _outputs(outputs, trials) * trials.targets > 0
    return float(np.mean((right | ~trials.scored).all(axis=(1, 2))))


def choices(outputs, trials, *, threshold=0.0):
    """Choice of each trial: +1 if output 0 is above `threshold` at its last scored time, else -1.

    outputs, trials : as for `mean_squared_error`
    threshold : float; for another teacher of `decision`, its `separatrix`
    Returns : (B,)
    Raises : ValueError as `mean_squared_error`, or if a trial has no scored time
    """
    outputs, scored = _outputs(outputs, trials), trials.scored[..., 0]
    if not scored.any(axis=1).all():
        raise ValueError("trials must have a scored time in every trial")
    last = scored.shape[1] - 1 - np.argmax(scored[:, ::-1], axis=1)
    return np.where(outputs[np.arange(len(outputs)), last, 0] > threshold, 1.0, -1.0)


def choice_accuracy(outputs, trials, *, threshold=0.0):
    """Share of right choices among the trials that have a right answer: float.

    Arguments and errors as for `choices`.
    """
    correct = trials.condition.get("correct", np.zeros(len(trials.inputs)))
    if not correct.any():
        raise ValueError("trials must have a condition 'correct' that is not 0 in every trial")
    choice = choices(outputs, trials, threshold=threshold)
    return float(np.mean((choice == correct)[correct != 0]))


def psychometric(evidence, choice, *, level=0.95):
    """How often the choice is +1 at each value of the evidence.

    evidence : (B,)
    choice : (B,), +1 or -1
    level : float, in (0, 1), coverage of the interval
    Returns : Psychometric
    Raises : ValueError if the shapes differ or a choice is neither +1 nor -1
    """
    evidence = finite_array("evidence", evidence, ("B",))
    choice = finite_array("choice", choice, evidence.shape)
    if not np.isin(choice, (-1.0, 1.0)).all():
        raise ValueError(f"choice must be +1 or -1, got {np.unique(choice).tolist()}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}")
    values, group, n = np.unique(evidence, return_inverse=True, return_counts=True)
    right = np.bincount(group, choice > 0, len(values)).astype(int)
    ends = [
        binomtest(k, total).proportion_ci(level, method="exact")
        for k, total in zip(right.tolist(), n.tolist(), strict=True)
    ]
    low, high = np.array([(end.low, end.high) for end in ends]).reshape(-1, 2).T
    return Psychometric(values, right / n, low, high, n)


def decision_times(outputs, *, dt, bounds=(-0.5, 0.5)):
    """When output 0 first reaches a bound, counted from t = 0: (B,), s, NaN where it never does.

    outputs : (B, T, O), at the times of targets, dt to T dt
    dt : float, s, > 0
    bounds : (lower, upper), reached by an output at or beyond
    Raises : ValueError if a shape disagrees, the bounds do not increase or dt is not positive
    """
    y = finite_array("outputs", outputs, ("B", "T", "O"))[..., 0]
    low, high = finite_array("bounds", bounds, (2,))
    if low >= high:
        raise ValueError(f"bounds must increase, got {[float(low), float(high)]}")
    there = (y <= low) | (y >= high)
    return np.where(there.any(axis=1), positive("dt", dt) * (there.argmax(axis=1) + 1), np.nan)


def chronometric(evidence, times):
    """Mean decision time at each value of the evidence.

    evidence : (B,); pass its size to pool both signs
    times : (B,), s, NaN where there was no decision
    Returns : Chronometric
    Raises : ValueError if the shapes differ
    """
    evidence = finite_array("evidence", evidence, ("B",))
    times = np.asarray(times, dtype=float)
    if times.shape != evidence.shape:
        raise ValueError(f"times must have shape {evidence.shape}, got {times.shape}")
    values, group, n = np.unique(evidence, return_inverse=True, return_counts=True)
    decided = [times[(group == i) & ~np.isnan(times)] for i in range(len(values))]
    counts = np.array([len(some) for some in decided], dtype=int)
    means = np.array([some.mean() if len(some) else np.nan for some in decided])
    errors = [
        some.std(ddof=1) / np.sqrt(len(some)) if len(some) > 1 else np.nan for some in decided
    ]
    return Chronometric(values, means, np.array(errors), counts, n)


def _trials(inputs, targets, scored, dt, condition):
    scored = np.broadcast_to(scored, targets.shape).copy()
    return Trials(inputs, targets, scored.all(axis=2), float(dt), condition, scored)


def _outputs(outputs, trials):
    if not trials.scored.any():
        raise ValueError("trials must have something that is scored")
    return finite_array("outputs", outputs, trials.targets.shape)


def _ou(n_trials, n_signals, duration, dt, tau, std, warm_up, rng):
    """Signals (B, T, D) and which of their entries are scored."""
    dt = positive("dt", dt)
    shape = (_count("n_trials", n_trials), _steps("duration", duration, dt))
    skip = _steps("warm_up", warm_up, dt, least=0)
    if skip >= shape[1]:
        raise ValueError(f"warm_up must be shorter than duration = {duration}, got {warm_up}")
    shape = (*shape, _count("n_signals", n_signals))
    signal = ornstein_uhlenbeck(shape, dt=dt, tau=tau, std=positive("std", std), rng=rng)
    return signal, np.broadcast_to((np.arange(shape[1]) >= skip)[:, None], shape)


def _white(shape, noise, dt, rng):
    return not_negative("noise", noise) / np.sqrt(dt) * rng.standard_normal(shape)


def _during(step, onset, length):
    """(B, T), true in the `length` steps from each onset (B,)."""
    since = step - onset[:, None]
    return (since >= 0) & (since < length)


def _levels(coherence):
    levels = finite_array("coherence", coherence, ("L",))
    if len(levels) == 0 or levels.min() < 0:
        raise ValueError(
            f"coherence must have a value and none may be negative, got {levels.tolist()}"
        )
    return levels


def _signed(rng, levels, shape):
    return rng.choice(levels, shape) * rng.choice([-1.0, 1.0], shape)


def _count(name, value, least=1):
    number = positive(name, value)
    if not number.is_integer() or number < least:
        raise ValueError(f"{name} must be an integer, at least {least}, got {value!r}")
    return int(number)


def _steps(name, duration, dt, least=1):
    ratio = (positive if least else not_negative)(name, duration) / dt
    steps = round(ratio)
    # Decimal fractions of a second are not exact: 0.3/0.1 is 2.9999999999999996.
    if abs(ratio - steps) > 1e-6 * max(ratio, 1.0) or steps < least:
        raise ValueError(f"{name} must be a whole number of steps dt = {dt:g}, got {duration!r}")
    return steps

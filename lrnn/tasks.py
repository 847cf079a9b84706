"""Trials of tasks that recurrent networks are trained on, and what chance and the optimum reach.

A task is one function that draws `Trials`. Input u[:, k] acts from t_k = k dt to t_{k+1}, and
target k belongs to the time t_{k+1} at which that input has just ended: it is what a causal system
can have made of the inputs 0 to k. In arrays of states of `lrnn.simulate` (T + 1 of them, from
t = 0 on) it belongs to index k + 1, so that outputs to be scored are `path[:, 1:]`. A signal that
is sampled at t_k is held until t_{k+1}; a target that equals the signal is its value in that step.

Times are in seconds, and each duration must be a whole number of steps dt. `noise` is the intensity
of `inputs.white_noise`. It is drawn last, so that one seed gives the same trials at every noise
level.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from lrnn import targets as target_systems
from lrnn._check import finite_array, not_negative, positive, whole, whole_steps
from lrnn.inputs import white_noise


class Trials(NamedTuple):
    """Trials of one task, all of one length.

    inputs : (B, T, D), input[:, k] acts from t_k to t_{k+1}
    targets : (B, T, O), target[:, k] belongs to t_{k+1}
    scored : (B, T, O) bool, the entries of `targets` that count
    dt : float, s
    condition : dict of arrays (B, ...), what each trial was; its keys are in the task's docstring
    """

    inputs: np.ndarray
    targets: np.ndarray
    scored: np.ndarray
    dt: float
    condition: dict

    @property
    def t(self):
        """The times of the targets, (T,), s: dt, 2 dt, ... T dt."""
        return self.dt * np.arange(1, self.inputs.shape[1] + 1)

    @property
    def mask(self):
        """(B, T) bool, the times at which all outputs count."""
        return self.scored.all(axis=2)


def subset(trials, index):
    """Some of the trials, in the order of `index`: a slice, (K,) int or (B,) bool."""
    inputs, targets, scored, dt, condition = trials
    chosen = {name: values[index] for name, values in condition.items()}
    return Trials(inputs[index], targets[index], scored[index], dt, chosen)


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
    B, K, dt = whole("n_trials", n_trials), whole("n_bits", n_bits), positive("dt", dt)
    T, width = whole_steps("duration", duration, dt), whole_steps("pulse_width", pulse_width, dt)
    least, wait = whole_steps("min_gap", min_gap, dt), whole_steps("grace", grace, dt, least=0)
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
    inputs = np.where(age < width, memory, 0.0) + white_noise(
        memory.shape, noise=noise, dt=dt, rng=rng
    )
    return Trials(inputs, memory, age + 1 >= wait, dt, {})


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
    B, K, dt = whole("n_trials", n_trials), whole("n_stimuli", n_stimuli, 2), positive("dt", dt)
    shown, answer = whole_steps("stimulus", stimulus, dt), whole_steps("response", response, dt)
    sample_on = whole_steps("fixation", fixation, dt, least=0)
    ends = finite_array("delay", delay, (2,))
    shortest, longest = (whole_steps("delay", end, dt, least=0) for end in ends)
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
    inputs += white_noise(inputs.shape, noise=noise, dt=dt, rng=rng)
    condition = {"sample": sample, "test": test, "delay": waits * dt, "correct": correct}
    return Trials(inputs, responding * correct[:, None, None], responding, dt, condition)


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
    B, dt = whole("n_trials", n_trials), positive("dt", dt)
    T, shown = whole_steps("duration", duration, dt), whole_steps("stimulus", stimulus, dt)
    if shown > T:
        raise ValueError(f"stimulus must be at most duration = {duration}, got {stimulus}")
    evidence = _signed(rng, _levels(coherence), B)
    on = (np.arange(T) < shown)[:, None]
    inputs = on * (evidence[:, None, None] + white_noise((B, T, 1), noise=noise, dt=dt, rng=rng))
    path = teacher_response(inputs, dt=dt, tau=tau, teacher=teacher, z0=z0)
    condition = {"evidence": evidence, "correct": np.sign(evidence)}
    return Trials(inputs, path, np.ones(path.shape, dtype=bool), dt, condition)


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
    B, dt = whole("n_trials", n_trials), positive("dt", dt)
    levels = _levels(coherence)
    if levels.min() == 0:
        raise ValueError(f"coherence must be greater than 0, got {levels.tolist()}")
    onset, pause = whole_steps("cue", cue, dt, least=0), whole_steps("delay", delay, dt, least=0)
    shown, answer = whole_steps("stimulus", stimulus, dt), whole_steps("response", response, dt)
    T = onset + shown + pause + answer
    context = rng.integers(2, size=B)
    evidence = _signed(rng, levels, (B, 2))
    correct = np.sign(evidence[np.arange(B), context])
    step = np.arange(T)
    on = _during(step, np.full(B, onset), shown)[..., None]
    streams = on * (evidence[:, None] + white_noise((B, T, 2), noise=noise, dt=dt, rng=rng))
    cues = np.repeat(np.eye(2)[context][:, None], T, axis=1)
    responding = _during(step, np.full(B, T - answer), answer)[..., None]
    return Trials(
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


# Optima


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


def _outputs(outputs, trials):
    if not trials.scored.any():
        raise ValueError("trials must have something that is scored")
    return finite_array("outputs", outputs, trials.targets.shape)


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

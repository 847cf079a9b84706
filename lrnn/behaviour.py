"""A network as a subject: what it chose in each trial, how often it was right, and when it decided.

Trials and the times of outputs are those of `lrnn.tasks`.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from lrnn._check import finite_array, positive


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


def choices(outputs, trials, *, threshold=0.0):
    """Choice of each trial: +1 if output 0 is above `threshold` at its last scored time, else -1.

    outputs, trials : as for `tasks.mean_squared_error`
    threshold : float; for another teacher of `tasks.decision`, its `tasks.separatrix`
    Returns : (B,)
    Raises : ValueError if the shapes differ, an output is not finite or a trial has no scored time
    """
    outputs = finite_array("outputs", outputs, trials.targets.shape)
    scored = trials.scored[..., 0]
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

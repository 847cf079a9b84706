"""Choices and times read from outputs by hand, intervals against their definition."""

import numpy as np
import pytest
from scipy.stats import binom

from lrnn.behaviour import choice_accuracy, choices, chronometric, decision_times, psychometric
from lrnn.tasks import Trials, decision


def rng(seed=0):
    return np.random.default_rng(seed)


def toy(targets, scored, condition=None):
    targets, scored = np.array(targets, dtype=float), np.array(scored, dtype=bool)
    return Trials(np.zeros((*targets.shape[:2], 1)), targets, scored, 0.5, condition or {})


def test_choices_are_read_at_the_last_scored_time():
    trials = toy(
        np.zeros((3, 3, 1)),
        [[[1], [1], [0]], [[1], [0], [0]], [[0], [0], [1]]],
        {"correct": np.array([1.0, 1.0, 0.0])},
    )
    outputs = np.array([[-1, 0.4, -1], [-0.2, 1, 1], [-1, -1, 3]])[..., None]
    np.testing.assert_array_equal(choices(outputs, trials), [1, -1, 1])
    np.testing.assert_array_equal(choices(outputs, trials, threshold=0.5), [-1, -1, 1])
    np.testing.assert_array_equal(choices(outputs, trials, threshold=0.4), [-1, -1, 1])
    assert choice_accuracy(outputs, trials) == 0.5  # the third has no right answer


def test_psychometric_counts_and_its_interval_is_exact():
    evidence = np.repeat([0.1, -0.1, 0.3], [20, 5, 8])
    choice = np.concatenate([np.repeat([1, -1], [13, 7]), -np.ones(5), np.ones(8)])
    shuffled = rng(19).permutation(33)
    curve = psychometric(evidence[shuffled], choice[shuffled], level=0.9)
    np.testing.assert_array_equal(curve.evidence, [-0.1, 0.1, 0.3])
    np.testing.assert_array_equal(curve.n, [5, 20, 8])
    np.testing.assert_allclose(curve.p_right, [0, 13 / 20, 1])
    # By definition each end leaves a tail of 5 %; where all trials agree it is 0 or 1.
    assert binom.sf(12, 20, curve.low[1]) == pytest.approx(0.05)
    assert binom.cdf(13, 20, curve.high[1]) == pytest.approx(0.05)
    assert curve.low[0] == 0
    assert curve.high[2] == 1
    assert binom.cdf(0, 5, curve.high[0]) == pytest.approx(0.05)


def test_decision_times_are_those_of_the_first_target_at_a_bound():
    outputs = np.array([[0.1, 0.5, 0.9], [0.1, -0.2, -0.7], [0.0, 0.3, 0.4], [1, 0, 0]])[..., None]
    times = decision_times(outputs, dt=0.5)
    np.testing.assert_allclose(times, [1.0, 1.5, np.nan, 0.5])
    np.testing.assert_allclose(
        decision_times(outputs, dt=0.5, bounds=(-0.2, 0.9)), [1.5, 1.0, np.nan, 0.5]
    )


def test_chronometric_averages_the_decided_trials():
    curve = chronometric([0.2, 0.1, 0.2, 0.2, 0.4, 0.1], [1.0, 2.0, 2.0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(curve.evidence, [0.1, 0.2, 0.4])
    np.testing.assert_allclose(curve.mean, [2.0, 1.5, np.nan])
    np.testing.assert_allclose(curve.standard_error, [np.nan, 0.5, np.nan])
    np.testing.assert_array_equal(curve.n_decided, [1, 2, 0])
    np.testing.assert_array_equal(curve.n, [2, 3, 1])


def test_stronger_evidence_is_decided_sooner():
    trials = decision(4000, coherence=(0.0, 0.4), rng=rng(20))
    times = decision_times(trials.targets, dt=trials.dt)
    curve = chronometric(np.abs(trials.condition["evidence"]), times)
    slow, fast = curve.mean
    assert slow - fast > 5 * np.hypot(*curve.standard_error)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: psychometric([0.1], [0]), r"choice must be \+1 or -1, got \[0.0\]"),
        (lambda: psychometric([0.1], [1, 1]), r"choice must have shape \(1,\)"),
        (lambda: psychometric([0.1], [1], level=1), "level must be between 0 and 1"),
        (
            lambda: decision_times(np.zeros((1, 2, 1)), dt=1, bounds=(1, -1)),
            "bounds must increase",
        ),
        (lambda: decision_times(np.zeros((1, 2, 1)), dt=0), "dt must be greater than 0"),
        (lambda: chronometric([0.1], [1, 1]), r"times must have shape \(1,\), got \(2,\)"),
        (
            lambda: choices(np.zeros((1, 2)), toy([[[1]]], [[[1]]])),
            r"outputs must have shape \(1, 1, 1\), got \(1, 2\)",
        ),
        (
            lambda: choices(np.zeros((2, 1, 1)), toy(np.zeros((2, 1, 1)), [[[1]], [[0]]])),
            "trials must have a scored time in every trial",
        ),
        (
            lambda: choice_accuracy(np.zeros((1, 1, 1)), toy([[[1]]], [[[1]]])),
            "trials must have a condition 'correct'",
        ),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()

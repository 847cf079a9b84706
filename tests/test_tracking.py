"""Signals against their definitions, filters against covariances, Riccati equations and runs."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import solve_continuous_are, toeplitz

from lrnn import tasks, tracking


def rng(seed=0):
    return np.random.default_rng(seed)


def test_tracking_reports_its_inputs_and_scores_them_after_the_warm_up():
    trials = tracking.ou_tracking(
        3000, n_signals=2, duration=3.0, tau=1.5, std=2.0, warm_up=1.0, rng=rng()
    )
    np.testing.assert_array_equal(trials.targets, trials.inputs)
    np.testing.assert_array_equal(trials.mask, np.tile(trials.t > 1.0 + 1e-9, (3000, 1)))
    s = trials.targets
    np.testing.assert_allclose(s.var(axis=0), 4.0, atol=5 * 4 * np.sqrt(2 / 3000))
    products = np.mean(s[:, 0] * s[:, 15], axis=0)
    np.testing.assert_allclose(products, 4 * np.exp(-1), atol=5 * 4 * np.sqrt(2 / 3000))
    assert abs(np.mean(s[:, 0, 0] * s[:, 0, 1])) < 5 * 4 / np.sqrt(3000)


def test_integration_is_the_solution_of_its_equation():
    trials = tracking.ou_integration(2, duration=2.0, dt=0.2, tau_integral=0.7, rng=rng(13))
    for b in range(2):
        y = np.zeros(1)
        for k in range(10):
            s = trials.inputs[b, k]
            step = solve_ivp(lambda t, y, s=s: (s - y) / 0.7, (0, 0.2), y, rtol=1e-11, atol=1e-13)
            y = step.y[:, -1]
            assert trials.targets[b, k, 0] == pytest.approx(y[0], abs=1e-9)  # the oracle's


def test_variance_of_the_integral_is_the_closed_form():
    B, tau, leak, std = 4000, 0.5, 1.0, 1.5
    trials = tracking.ou_integration(
        B, duration=10.0, dt=0.05, tau=tau, std=std, tau_integral=leak, warm_up=9.95, rng=rng(14)
    )
    expected = std**2 * tau / (tau + leak)
    # Five standard errors, and 1 % for the steps.
    tolerance = 5 * np.sqrt(2 / B) + 0.01
    assert tasks.chance_error(trials) == pytest.approx(expected, rel=tolerance)


def test_switch_reports_the_signal_that_the_cue_names_now():
    trials = tracking.ou_switch(20, mean_dwell=1.0, rng=rng(15))
    cue = trials.inputs[..., 2]
    assert set(np.unique(cue)) == {-1.0, 1.0}
    for b in range(20):
        for k in range(cue.shape[1]):
            assert trials.targets[b, k, 0] == trials.inputs[b, k, 0 if cue[b, k] > 0 else 1]
    held = tracking.ou_switch(20, rng=rng(15)).inputs[..., 2]
    assert (held == held[:, :1]).all()
    assert len(np.unique(held)) == 2


def test_cue_changes_at_its_rate_and_ignoring_it_costs_half_the_variance():
    B, std, dwell = 4000, 1.5, 2.0
    trials = tracking.ou_switch(B, std=std, duration=3.0, dt=0.5, mean_dwell=dwell, rng=rng(16))
    cue = trials.inputs[..., 2]
    changed = cue[:, 1:] != cue[:, :-1]
    p = 1 - np.exp(-0.5 / dwell)
    # Five standard errors of a share, twice.
    assert changed.mean() == pytest.approx(p, abs=5 * np.sqrt(p * (1 - p) / changed.size))
    assert np.mean(cue[:, 0] > 0) == pytest.approx(0.5, abs=5 * np.sqrt(0.25 / B))
    mean = trials.inputs[..., :2].mean(axis=2, keepdims=True)
    last = tasks.subset(trials, slice(None))._replace(scored=np.zeros_like(trials.scored))
    last.scored[:, -1] = True
    error = tasks.mean_squared_error(mean, last)
    assert error == pytest.approx(std**2 / 2, rel=5 * np.sqrt(2 / B))  # a squared Gaussian


# Optima


FILTERS = [(0.1, 5.0, 1.0, 1.0), (0.5, 1.0, 2.0, 0.3), (0.2, 2.0, 0.5, 3.0)]


@pytest.mark.parametrize(("dt", "tau", "std", "noise"), FILTERS)
def test_no_linear_function_of_the_past_beats_the_kalman_filter(dt, tau, std, noise):
    """The normal equations of the best weights for the last 400 inputs, from the covariances."""
    lags = np.arange(400)
    signal = std**2 * np.exp(-lags * dt / tau)
    weights = np.linalg.solve(toeplitz(signal) + noise**2 / dt * np.eye(400), signal)
    known = tracking.kalman_filter(dt=dt, tau=tau, std=std, noise=noise)
    # What is older than 400 steps counts by pole^800 < 1e-15 at most.
    assert known.error == pytest.approx(std**2 - signal @ weights, rel=1e-9)
    np.testing.assert_allclose(weights, known.gain * known.pole**lags, atol=1e-9)


@pytest.mark.parametrize(("dt", "tau", "std", "noise"), FILTERS)
def test_kalman_filter_run_on_the_trials_has_its_error(dt, tau, std, noise):
    B = 4000
    known = tracking.kalman_filter(dt=dt, tau=tau, std=std, noise=noise)
    settled = dt * round(12 * tau / dt)  # the start counts by e^-24 at most
    trials = tracking.ou_denoising(
        B, duration=settled + dt, dt=dt, tau=tau, std=std, noise=noise, warm_up=settled, rng=rng(17)
    )
    estimate, outputs = np.zeros((B, 1)), np.zeros_like(trials.targets)
    for k in range(outputs.shape[1]):
        estimate = known.pole * estimate + known.gain * trials.inputs[:, k]
        outputs[:, k] = estimate
    error = tasks.mean_squared_error(outputs, trials)
    assert error == pytest.approx(known.error, rel=5 * np.sqrt(2 / B))  # squared Gaussians
    assert tasks.chance_error(trials) == pytest.approx(std**2, rel=5 * np.sqrt(2 / B))


@pytest.mark.parametrize(("dt", "tau", "std", "noise"), FILTERS)
def test_wiener_filter_solves_the_riccati_equation(dt, tau, std, noise):
    error = solve_continuous_are(-1 / tau, 1.0, 2 * std**2 / tau, noise**2)[0, 0]
    known = tracking.wiener_filter(tau=tau, std=std, noise=noise)
    assert known.error == pytest.approx(error, rel=1e-9)  # scipy's own accuracy
    assert known.gain == pytest.approx(error / noise**2, rel=1e-9)
    assert known.rate == pytest.approx(1 / tau + known.gain, rel=1e-12)


def test_kalman_filter_becomes_the_wiener_filter_in_short_steps():
    known = tracking.wiener_filter(tau=2.0, std=1.5, noise=0.8)

    def distance(dt):
        near = tracking.kalman_filter(dt=dt, tau=2.0, std=1.5, noise=0.8)
        return np.array(
            [
                (1 - near.pole) / dt - known.rate,
                near.gain / dt - known.gain,
                near.error - known.error,
            ]
        )

    order = np.log2(np.abs(distance(2e-4) / distance(1e-4)))
    np.testing.assert_allclose(order, 1.0, atol=0.01)


@pytest.mark.parametrize(("rate", "eigenvalue"), [(0.3, 0.7045), (3.0, -1.5836)])
def test_eigenvalue_of_the_optimal_euler_network_is_the_one_computed_before(rate, eigenvalue):
    """For a signal of rate 0.2 and dt = 0.1; in continuous time 1 - rate, .7 and -2."""
    noise = np.sqrt(2 * 0.2 / (rate**2 - 0.2**2))
    assert tracking.wiener_filter(tau=5.0, noise=noise).rate == pytest.approx(rate, rel=1e-12)
    pole = tracking.kalman_filter(dt=0.1, tau=5.0, noise=noise).pole
    assert 1 - (1 - pole) / 0.1 == pytest.approx(eigenvalue, abs=6e-5)  # its printed digits


def test_filters_at_the_ends_of_the_range_of_noise():
    clean = tracking.kalman_filter(dt=0.1, tau=1.0, std=2.0, noise=0.0)
    assert clean == (0.0, 1.0, 0.0)
    heavy = tracking.kalman_filter(dt=0.1, tau=1.0, std=2.0, noise=1e8)
    assert heavy.error == pytest.approx(4.0, rel=1e-9)
    assert tracking.wiener_filter(tau=1.0, std=2.0, noise=1e8).error == pytest.approx(4.0, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda g: tracking.ou_tracking(2, warm_up=20.0, rng=g), "warm_up must be shorter than"),
        (lambda g: tracking.ou_tracking(2, std=0, rng=g), "std must be greater than 0"),
        (lambda g: tracking.ou_tracking(2, n_signals=0, rng=g), "n_signals must be"),
        (
            lambda g: tracking.ou_integration(2, tau_integral=0, rng=g),
            "tau_integral must be greater",
        ),
        (lambda g: tracking.ou_switch(2, mean_dwell=0, rng=g), "mean_dwell must be greater than 0"),
        (lambda g: tracking.wiener_filter(tau=1, noise=0), "noise must be greater than 0"),
        (lambda g: tracking.kalman_filter(dt=1, tau=1, noise=-1), "noise must be at least 0"),
        (lambda g: tracking.kalman_filter(dt=0, tau=1, noise=1), "dt must be greater than 0"),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(rng())

"""Tasks against their definitions rebuilt by loops, optima against brute force and simulation."""

from functools import partial

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import solve_continuous_are, toeplitz
from scipy.optimize import root
from scipy.stats import binom

from lrnn import tasks
from lrnn.targets import cubic, hopf, polynomial, sine

ALL = [
    partial(tasks.flip_flop, noise=0.1),
    partial(tasks.delayed_match, noise=0.1),
    tasks.decision,
    tasks.context_decision,
    partial(tasks.ou_tracking, warm_up=2.0),
    partial(tasks.ou_denoising, n_signals=2),
    tasks.ou_integration,
    partial(tasks.ou_switch, mean_dwell=3.0, noise=0.2),
]


def rng(seed=0):
    return np.random.default_rng(seed)


def five_errors(p, n):
    """Five standard errors of a share of n trials."""
    return 5 * np.sqrt(p * (1 - p) / n)


# All tasks


@pytest.mark.parametrize("task", ALL)
def test_every_task_returns_consistent_trials(task):
    trials = task(7, rng=rng())
    B, T, _ = trials.inputs.shape
    assert B == 7
    assert trials.targets.shape[:2] == (B, T)
    assert trials.scored.shape == trials.targets.shape
    assert trials.scored.dtype == trials.mask.dtype == bool
    np.testing.assert_array_equal(trials.mask, trials.scored.all(axis=2))
    assert trials.mask.any()
    assert np.isfinite(trials.inputs).all()
    assert np.isfinite(trials.targets).all()
    assert all(len(values) == B for values in trials.condition.values())
    assert trials.t[0] == pytest.approx(trials.dt)
    assert trials.t[-1] == pytest.approx(T * trials.dt)
    assert not np.shares_memory(trials.inputs, trials.targets)


@pytest.mark.parametrize("task", ALL)
def test_a_seed_names_its_trials(task):
    one, same, other = (task(5, rng=rng(seed)) for seed in (3, 3, 4))
    for name in ("inputs", "targets", "scored"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    assert not np.array_equal(one.inputs, other.inputs)


@pytest.mark.parametrize(
    "task", [tasks.flip_flop, tasks.delayed_match, tasks.ou_denoising, tasks.ou_switch]
)
def test_noise_is_white_of_its_intensity_and_leaves_the_rest_of_the_trial(task):
    quiet, noisy = (task(200, noise=noise, rng=rng()) for noise in (0.0, 0.7))
    np.testing.assert_array_equal(quiet.targets, noisy.targets)
    channels = slice(2) if task is tasks.ou_switch else slice(None)
    added = (noisy.inputs - quiet.inputs)[..., channels]
    power = added**2 * noisy.dt
    assert power.mean() == pytest.approx(0.49, abs=5 * 0.49 * np.sqrt(2 / power.size))
    follow = np.mean(added[:, 1:] * added[:, :-1]) * noisy.dt
    assert abs(follow) < 5 * 0.49 / np.sqrt(power.size)


def test_subset_keeps_what_belongs_together():
    trials = tasks.context_decision(6, rng=rng())
    for index in (slice(1, 4), np.array([5, 0]), np.arange(6) % 2 == 0):
        some = tasks.subset(trials, index)
        np.testing.assert_array_equal(some.inputs, trials.inputs[index])
        np.testing.assert_array_equal(some.targets, trials.targets[index])
        np.testing.assert_array_equal(some.mask, trials.mask[index])
        np.testing.assert_array_equal(some.scored, trials.scored[index])
        np.testing.assert_array_equal(
            some.condition["evidence"], trials.condition["evidence"][index]
        )
        assert some.dt == trials.dt


# Memory


@pytest.mark.parametrize("seed", range(3))
def test_flip_flop_targets_are_the_memory_of_the_inputs_so_far(seed):
    """A state machine that reads one input after another, hence cannot look ahead."""
    dt, grace = 0.25, 1.5
    trials = tasks.flip_flop(
        4, duration=30.0, dt=dt, pulse_width=0.75, min_gap=1.0, grace=grace, rng=rng(seed)
    )
    B, T, K = trials.inputs.shape
    assert K == 3
    for b in range(B):
        for i in range(K):
            before = 0.0
            for k in range(T):
                u = trials.inputs[b, k, i]
                if u != 0 and before == 0:
                    memory, onset = u, k * dt
                before = u
                assert trials.targets[b, k, i] == memory
                assert trials.scored[b, k, i] == (trials.t[k] - onset >= grace)


def test_pulses_of_the_flip_flop_have_the_stated_times_and_signs():
    B = 4000
    trials = tasks.flip_flop(B, n_bits=1, duration=60.0, dt=0.2, rng=rng(1))
    u = trials.inputs[..., 0]
    assert set(np.unique(u)) == {-1.0, 0.0, 1.0}
    on = u != 0
    starts = on & ~np.pad(on, ((0, 0), (1, 0)))[:, :-1]
    assert starts[:, 0].all()
    # A pulse of 1 s is five steps, except for one that the end of the trial cuts.
    whole = starts[:, :-5].sum() * 5
    assert whole <= on.sum() <= whole + 5 * B
    assert all(on[:, k : k + 5].all(axis=1)[starts[:, k]].all() for k in range(0, 295))
    # The second onset is in the trial but for odds of e^-19, so its time is not censored.
    gap = 0.2 * np.argmax(starts[:, 1:], axis=1) + 0.2
    assert gap.min() >= 3.0 - 1e-9
    assert gap.mean() == pytest.approx(6.0, abs=5 * 3.0 / np.sqrt(B))
    assert gap.std() == pytest.approx(3.0, rel=5 * np.sqrt(2 / B))  # excess kurtosis 6: (6+2)/4=2
    signs = u[starts]
    assert abs(signs.mean()) < 5 / np.sqrt(signs.size)
    assert abs(np.mean(u[:, 0] * trials.targets[:, -1, 0])) < 5 / np.sqrt(B)


def test_rounding_to_steps_leaves_the_mean_gap():
    u = tasks.flip_flop(4000, n_bits=1, duration=60.0, dt=1.0, rng=rng(1)).inputs[..., 0]
    gap = np.argmax(u[:, 1:] != 0, axis=1) + 1.0
    # Five standard errors; steps this coarse leave 0.014 (rounded down it would be 0.47).
    assert gap.mean() == pytest.approx(6.0, abs=5 * 3.0 / np.sqrt(4000) + 0.014)


def test_flip_flop_without_grace_is_scored_everywhere_and_with_two_bits_less_often():
    assert tasks.flip_flop(3, grace=0.0, rng=rng()).mask.all()
    trials = tasks.flip_flop(50, rng=rng())
    assert trials.mask.mean() < trials.scored.mean() < 1


@pytest.mark.parametrize("n_stimuli", [2, 3])
def test_delayed_match_is_what_its_inputs_say(n_stimuli):
    """Each trial is read step by step from its inputs alone: two stimuli, then the response."""
    B, dt = 200, 0.1
    trials = tasks.delayed_match(
        B, n_stimuli=n_stimuli, fixation=0.2, delay=(0.3, 0.6), response=0.4, dt=dt, rng=rng(2)
    )
    assert trials.inputs.shape == (B, 2 + 5 + 6 + 5 + 4, n_stimuli)
    for b in range(B):
        on = np.flatnonzero(trials.inputs[b].any(axis=1))
        assert (trials.inputs[b, on].sum(axis=1) == 1).all()
        seen = trials.inputs[b, on].argmax(axis=1)
        np.testing.assert_array_equal(on[:5], np.arange(2, 7))
        np.testing.assert_array_equal(on[5:], on[5] + np.arange(5))
        assert len(set(seen[:5])) == len(set(seen[5:])) == 1
        assert (on[5] - 7) * dt == pytest.approx(trials.condition["delay"][b])
        assert (seen[0], seen[5]) == (trials.condition["sample"][b], trials.condition["test"][b])
        answer = 1.0 if seen[0] == seen[5] else -1.0
        assert trials.condition["correct"][b] == answer
        window = np.zeros(trials.mask.shape[1], dtype=bool)
        window[on[-1] + 1 : on[-1] + 5] = True
        np.testing.assert_array_equal(trials.mask[b], window)
        np.testing.assert_array_equal(trials.targets[b, :, 0], window * answer)


def test_delays_and_matches_are_drawn_evenly():
    B = 6000
    trials = tasks.delayed_match(B, n_stimuli=3, delay=(0.2, 0.4), dt=0.1, rng=rng(3))
    values, counts = np.unique(trials.condition["delay"].round(9), return_counts=True)
    np.testing.assert_allclose(values, [0.2, 0.3, 0.4])
    np.testing.assert_allclose(counts / B, 1 / 3, atol=five_errors(1 / 3, B))
    assert np.mean(trials.condition["correct"] > 0) == pytest.approx(0.5, abs=five_errors(0.5, B))
    for name in ("sample", "test"):
        share = np.bincount(trials.condition[name]) / B
        np.testing.assert_allclose(share, 1 / 3, atol=five_errors(1 / 3, B))


def test_ideal_match_accuracy_is_that_of_the_two_summed_differences():
    B, noise, dt = 20000, 0.5, 0.1
    trials = tasks.delayed_match(B, stimulus=0.5, delay=(0.2, 0.2), noise=noise, dt=dt, rng=rng(4))
    difference = trials.inputs[..., 0] - trials.inputs[..., 1]
    first, second = difference[:, 1:6].sum(axis=1), difference[:, 8:13].sum(axis=1)
    right = np.mean(np.sign(first * second) == trials.condition["correct"])
    expected = tasks.ideal_match_accuracy(noise=noise, stimulus=0.5)
    assert 0.6 < expected < 0.9
    assert right == pytest.approx(expected, abs=five_errors(expected, B))


# Decisions


@pytest.mark.parametrize("teacher", [None, cubic((-1.2, 0.2, 1.2))])
def test_decision_targets_are_the_teacher_stepped_through_the_inputs(teacher):
    dt, tau = 0.1, 0.8
    trials = tasks.decision(3, teacher=teacher, tau=tau, dt=dt, rng=rng(5))
    field = (
        (lambda z: z - z**3) if teacher is None else lambda z: -(z + 1.2) * (z - 0.2) * (z - 1.2)
    )
    for b in range(3):
        z = 0.0 if teacher is None else 0.2
        for k in range(100):
            z += dt / tau * (field(z) + trials.inputs[b, k, 0])
            # Round-off, which the unstable point lets grow by about e^6 at most.
            assert trials.targets[b, k, 0] == pytest.approx(z, abs=1e-11)
    assert trials.mask.all()


def test_teacher_approaches_the_closed_form_of_the_undriven_pitchfork():
    def error(dt):
        t = dt * np.arange(1, round(4 / dt) + 1)
        z = tasks.teacher_response(np.zeros((1, len(t), 1)), dt=dt, z0=0.1)[0, :, 0]
        return np.abs(z - 0.1 * np.exp(t) / np.sqrt(1 + 0.01 * np.expm1(2 * t))).max()

    assert error(0.01) < 0.01
    assert np.log2(error(0.02) / error(0.01)) == pytest.approx(1.0, abs=0.05)  # Euler's order


def test_later_inputs_do_not_change_earlier_targets():
    u = rng(6).normal(size=(2, 40, 1))
    changed = u.copy()
    changed[:, 25:] += 1.0
    before, after = (tasks.teacher_response(x, dt=0.1) for x in (u, changed))
    np.testing.assert_array_equal(before[:, :25], after[:, :25])
    assert (before[:, 25] != after[:, 25]).all()  # input k already shows in target k


def test_evidence_of_the_decision_is_what_is_stated():
    B = 20000
    trials = tasks.decision(
        B, coherence=(0.0, 0.5), noise=0.3, stimulus=2.0, duration=3.0, rng=rng(7)
    )
    u, evidence = trials.inputs[..., 0], trials.condition["evidence"]
    assert (u[:, 20:] == 0).all()
    np.testing.assert_array_equal(trials.condition["correct"], np.sign(evidence))
    for value, share in ((-0.5, 0.25), (0.0, 0.5), (0.5, 0.25)):
        chosen = evidence == value
        assert chosen.mean() == pytest.approx(share, abs=five_errors(share, B))
        total = 0.1 * u[chosen, :20].sum(axis=1)  # a Brownian motion with drift, at 2 s
        spread = 0.3 * np.sqrt(2.0)
        assert total.mean() == pytest.approx(2 * value, abs=5 * spread / np.sqrt(chosen.sum()))
        assert total.std() == pytest.approx(spread, rel=5 / np.sqrt(2 * chosen.sum()))


def test_the_pitchfork_teacher_chooses_as_often_as_in_an_independent_run():
    """P(right) of 4000 trials a level, made by a separate program before this one."""
    n = 4000
    known = {0.05: 0.595, 0.1: 0.695, 0.2: 0.846, 0.4: 0.983}
    for mu, p in known.items():
        trials = tasks.decision(n, coherence=(mu,), rng=rng(8))
        accuracy = tasks.choice_accuracy(trials.targets, trials)
        assert accuracy == pytest.approx(p, abs=np.sqrt(2) * five_errors(p, n))
        assert accuracy < tasks.ideal_accuracy(mu, noise=0.3, stimulus=5.0)


def test_ideal_accuracy_is_that_of_the_summed_evidence():
    B, noise, stimulus = 20000, 0.3, 2.0
    for dt in (0.1, 0.5):
        trials = tasks.decision(
            B, coherence=(0.15,), noise=noise, stimulus=stimulus, duration=4.0, dt=dt, rng=rng(9)
        )
        choice = np.sign(trials.inputs.sum(axis=(1, 2)))
        p = tasks.ideal_accuracy(-0.15, noise=noise, stimulus=stimulus)
        share = np.mean(choice == trials.condition["correct"])
        assert share == pytest.approx(p, abs=five_errors(p, B))
    assert tasks.ideal_accuracy(0.0, noise=1.0, stimulus=1.0) == 0.5


def test_separatrix_is_the_middle_root():
    assert tasks.separatrix(cubic((-1.2, 0.2, 1.2))) == pytest.approx(0.2)
    assert tasks.separatrix(cubic((2.0, 3.0, 5.0))) == pytest.approx(3.0)


def test_context_decision_is_what_its_inputs_say():
    trials = tasks.context_decision(
        60, cue=0.2, stimulus=0.6, delay=0.1, response=0.3, dt=0.1, noise=0.0, rng=rng(10)
    )
    assert trials.inputs.shape == (60, 12, 4)
    for b in range(60):
        cues = trials.inputs[b, :, 2:]
        assert ((cues == 1).sum(axis=1) == 1).all()
        assert (cues == cues[0]).all()
        relevant = int(cues[0].argmax())
        assert relevant == trials.condition["context"][b]
        for k in range(12):
            shown = trials.condition["evidence"][b] if 2 <= k < 8 else (0, 0)
            np.testing.assert_array_equal(trials.inputs[b, k, :2], shown)
            sign = np.sign(trials.inputs[b, 4, relevant])
            assert trials.targets[b, k, 0] == (sign if k >= 9 else 0)
            assert trials.mask[b, k] == (k >= 9)


def test_the_ideal_observer_of_the_context_and_one_who_ignores_it():
    B, levels, noise, stimulus = 20000, (0.05, 0.2), 0.1, 0.8
    trials = tasks.context_decision(
        B, coherence=levels, noise=noise, stimulus=stimulus, rng=rng(11)
    )
    choice = np.sign(trials.inputs[..., :2].sum(axis=1))
    context, correct = trials.condition["context"], trials.condition["correct"]
    optimum = tasks.ideal_accuracy(levels, noise=noise, stimulus=stimulus).mean()
    attentive = np.mean(choice[np.arange(B), context] == correct)
    assert attentive == pytest.approx(optimum, abs=five_errors(optimum, B))
    half = (0.5 + optimum) / 2
    assert np.mean(choice[:, 0] == correct) == pytest.approx(half, abs=five_errors(half, B))
    assert context.mean() == pytest.approx(0.5, abs=five_errors(0.5, B))
    signs = np.sign(trials.condition["evidence"])
    assert abs(np.mean(signs[:, 0] * signs[:, 1])) < 5 / np.sqrt(B)


def slow_wong_wang(s1, s2, coherence, mu0):
    """The published equations, written out in ms, for one state."""
    x1 = 0.2609 * s1 - 0.0497 * s2 + 0.3255 + 0.00052 * mu0 * (1 + coherence)
    x2 = 0.2609 * s2 - 0.0497 * s1 + 0.3255 + 0.00052 * mu0 * (1 - coherence)
    rates = [(270 * x - 108) / (1 - np.exp(-0.154 * (270 * x - 108))) for x in (x1, x2)]
    per_ms = [-s / 100 + (1 - s) * 0.641 / 1000 * r for s, r in zip((s1, s2), rates, strict=True)]
    return rates, [1000 * v for v in per_ms]


def test_wong_wang_is_its_published_equations():
    s = rng(12).uniform(size=(20, 2))
    rates = tasks.wong_wang_rates(s, coherence=0.256, mu0=40.0)
    velocity = tasks.wong_wang(s, coherence=0.256, mu0=40.0)
    for i, (s1, s2) in enumerate(s):
        expected = slow_wong_wang(s1, s2, 0.256, 40.0)
        np.testing.assert_allclose((rates[i], velocity[i]), expected, rtol=1e-10)
    swapped = tasks.wong_wang(s[:, ::-1], coherence=-0.256, mu0=40.0)
    np.testing.assert_allclose(swapped[:, ::-1], velocity, rtol=1e-12)
    many = tasks.wong_wang(s, coherence=np.full(20, 0.256), mu0=40.0)
    np.testing.assert_allclose(many, velocity)


def test_wong_wang_rate_is_smooth_where_its_formula_is_zero_over_zero():
    zero = (108 / 270 - 0.3255 - 5.2e-4 * 30) / (0.2609 - 0.0497)  # s1 = s2 here: a x = b
    rates = tasks.wong_wang_rates(np.array([[zero, zero], [zero + 1e-13, zero], [zero + 1e-6] * 2]))
    # Slope 1/2 in a x, so that 1e-6 in s adds 270 (0.2609 - 0.0497) 1e-6/2 = 3e-5 Hz.
    np.testing.assert_allclose(rates, 1 / 0.154, atol=4e-5)


def test_wong_wang_decides_with_a_stimulus_and_remembers_without_one():
    """The paper's phase portraits: a saddle between two choices, three stable states at rest."""

    def stability(guess, mu0):
        found = root(lambda s: tasks.wong_wang(s, mu0=mu0), guess, tol=1e-12)
        assert found.success
        steps = 1e-6 * np.eye(2)
        columns = [
            (tasks.wong_wang(found.x + e, mu0=mu0) - tasks.wong_wang(found.x - e, mu0=mu0)) / 2e-6
            for e in steps
        ]
        return found.x, np.sort(np.linalg.eigvals(np.transpose(columns)).real)

    middle, modes = stability([0.4, 0.4], mu0=30.0)
    assert middle[0] == pytest.approx(middle[1], abs=1e-9)
    assert modes[0] < 0 < modes[1]
    for guess in ([0.05, 0.05], [0.65, 0.05], [0.05, 0.65]):
        fixed, modes = stability(guess, mu0=0.0)
        assert modes[1] < 0, (guess, fixed)
    run = solve_ivp(lambda t, s: tasks.wong_wang(s, coherence=0.1), (0, 3), [0.1, 0.1], rtol=1e-8)
    winner, loser = tasks.wong_wang_rates(run.y[:, -1], coherence=0.1)
    assert winner > 15 > loser  # the paper's decision threshold, Hz


# Ornstein-Uhlenbeck signals


def test_tracking_reports_its_inputs_and_scores_them_after_the_warm_up():
    trials = tasks.ou_tracking(
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
    trials = tasks.ou_integration(2, duration=2.0, dt=0.2, tau_integral=0.7, rng=rng(13))
    for b in range(2):
        y = np.zeros(1)
        for k in range(10):
            s = trials.inputs[b, k]
            step = solve_ivp(lambda t, y, s=s: (s - y) / 0.7, (0, 0.2), y, rtol=1e-11, atol=1e-13)
            y = step.y[:, -1]
            assert trials.targets[b, k, 0] == pytest.approx(y[0], abs=1e-9)  # the oracle's


def test_variance_of_the_integral_is_the_closed_form():
    B, tau, leak, std = 4000, 0.5, 1.0, 1.5
    trials = tasks.ou_integration(
        B, duration=10.0, dt=0.05, tau=tau, std=std, tau_integral=leak, warm_up=9.95, rng=rng(14)
    )
    expected = std**2 * tau / (tau + leak)
    # Five standard errors, and 1 % for the steps.
    tolerance = 5 * np.sqrt(2 / B) + 0.01
    assert tasks.chance_error(trials) == pytest.approx(expected, rel=tolerance)


def test_switch_reports_the_signal_that_the_cue_names_now():
    trials = tasks.ou_switch(20, mean_dwell=1.0, rng=rng(15))
    cue = trials.inputs[..., 2]
    assert set(np.unique(cue)) == {-1.0, 1.0}
    for b in range(20):
        for k in range(cue.shape[1]):
            assert trials.targets[b, k, 0] == trials.inputs[b, k, 0 if cue[b, k] > 0 else 1]
    held = tasks.ou_switch(20, rng=rng(15)).inputs[..., 2]
    assert (held == held[:, :1]).all()
    assert len(np.unique(held)) == 2


def test_cue_changes_at_its_rate_and_ignoring_it_costs_half_the_variance():
    B, std, dwell = 4000, 1.5, 2.0
    trials = tasks.ou_switch(B, std=std, duration=3.0, dt=0.5, mean_dwell=dwell, rng=rng(16))
    cue = trials.inputs[..., 2]
    changed = cue[:, 1:] != cue[:, :-1]
    p = 1 - np.exp(-0.5 / dwell)
    assert changed.mean() == pytest.approx(p, abs=five_errors(p, changed.size))
    assert np.mean(cue[:, 0] > 0) == pytest.approx(0.5, abs=five_errors(0.5, B))
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
    known = tasks.kalman_filter(dt=dt, tau=tau, std=std, noise=noise)
    # What is older than 400 steps counts by pole^800 < 1e-15 at most.
    assert known.error == pytest.approx(std**2 - signal @ weights, rel=1e-9)
    np.testing.assert_allclose(weights, known.gain * known.pole**lags, atol=1e-9)


@pytest.mark.parametrize(("dt", "tau", "std", "noise"), FILTERS)
def test_kalman_filter_run_on_the_trials_has_its_error(dt, tau, std, noise):
    B = 4000
    known = tasks.kalman_filter(dt=dt, tau=tau, std=std, noise=noise)
    settled = dt * round(12 * tau / dt)  # the start counts by e^-24 at most
    trials = tasks.ou_denoising(
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
    known = tasks.wiener_filter(tau=tau, std=std, noise=noise)
    assert known.error == pytest.approx(error, rel=1e-9)  # scipy's own accuracy
    assert known.gain == pytest.approx(error / noise**2, rel=1e-9)
    assert known.rate == pytest.approx(1 / tau + known.gain, rel=1e-12)


def test_kalman_filter_becomes_the_wiener_filter_in_short_steps():
    known = tasks.wiener_filter(tau=2.0, std=1.5, noise=0.8)

    def distance(dt):
        near = tasks.kalman_filter(dt=dt, tau=2.0, std=1.5, noise=0.8)
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
    assert tasks.wiener_filter(tau=5.0, noise=noise).rate == pytest.approx(rate, rel=1e-12)
    pole = tasks.kalman_filter(dt=0.1, tau=5.0, noise=noise).pole
    assert 1 - (1 - pole) / 0.1 == pytest.approx(eigenvalue, abs=6e-5)  # its printed digits


def test_filters_at_the_ends_of_the_range_of_noise():
    clean = tasks.kalman_filter(dt=0.1, tau=1.0, std=2.0, noise=0.0)
    assert clean == (0.0, 1.0, 0.0)
    heavy = tasks.kalman_filter(dt=0.1, tau=1.0, std=2.0, noise=1e8)
    assert heavy.error == pytest.approx(4.0, rel=1e-9)
    assert tasks.wiener_filter(tau=1.0, std=2.0, noise=1e8).error == pytest.approx(4.0, rel=1e-9)


# Scores


def toy(targets, scored, condition=None):
    targets, scored = np.array(targets, dtype=float), np.array(scored, dtype=bool)
    inputs = np.zeros((*targets.shape[:2], 1))
    return tasks.Trials(inputs, targets, scored.all(axis=2), 0.5, condition or {}, scored)


def test_scores_count_the_scored_entries_and_no_others():
    trials = toy([[[1, -1], [1, 1]], [[-1, -1], [1, -1]]], [[[1, 1], [1, 0]], [[0, 1], [1, 1]]])
    outputs = np.array([[[2.0, -1], [1, -9]], [[9, 0.5], [-1, -3]]])
    # Scored errors: 1, 0, 0; 1.5, -2, -2. Right signs: 3 of 3; 1 of 3.
    assert tasks.mean_squared_error(outputs, trials) == pytest.approx((1 + 2.25 + 4 + 4) / 6)
    assert tasks.bit_accuracy(outputs, trials) == pytest.approx(4 / 6)
    assert tasks.whole_trial_accuracy(outputs, trials) == 0.5
    assert tasks.bit_accuracy(np.zeros_like(outputs), trials) == 0.0
    assert tasks.bit_accuracy(trials.targets, trials) == 1.0


def test_chance_error_is_the_smallest_of_any_constant():
    trials = tasks.flip_flop(9, n_bits=2, grace=2.0, rng=rng(18))
    best = tasks.chance_error(trials)
    errors = [
        tasks.mean_squared_error(np.full_like(trials.targets, 1.0) * [a, b], trials)
        for a in np.linspace(-1, 1, 41)
        for b in np.linspace(-1, 1, 41)
    ]
    # The grid's step is 0.05, and the error is a parabola of curvature 1 in each constant.
    assert best <= min(errors) <= best + 0.025**2


def test_choices_are_read_at_the_last_scored_time():
    trials = toy(
        np.zeros((3, 3, 1)),
        [[[1], [1], [0]], [[1], [0], [0]], [[0], [0], [1]]],
        {"correct": np.array([1.0, 1.0, 0.0])},
    )
    outputs = np.array([[-1, 0.4, -1], [-0.2, 1, 1], [-1, -1, 3]])[..., None]
    np.testing.assert_array_equal(tasks.choices(outputs, trials), [1, -1, 1])
    np.testing.assert_array_equal(tasks.choices(outputs, trials, threshold=0.5), [-1, -1, 1])
    np.testing.assert_array_equal(tasks.choices(outputs, trials, threshold=0.4), [-1, -1, 1])
    assert tasks.choice_accuracy(outputs, trials) == 0.5  # the third has no right answer


def test_psychometric_counts_and_its_interval_is_exact():
    evidence = np.repeat([0.1, -0.1, 0.3], [20, 5, 8])
    choice = np.concatenate([np.repeat([1, -1], [13, 7]), -np.ones(5), np.ones(8)])
    shuffled = rng(19).permutation(33)
    curve = tasks.psychometric(evidence[shuffled], choice[shuffled], level=0.9)
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
    times = tasks.decision_times(outputs, dt=0.5)
    np.testing.assert_allclose(times, [1.0, 1.5, np.nan, 0.5])
    np.testing.assert_allclose(
        tasks.decision_times(outputs, dt=0.5, bounds=(-0.2, 0.9)), [1.5, 1.0, np.nan, 0.5]
    )


def test_chronometric_averages_the_decided_trials():
    curve = tasks.chronometric(
        [0.2, 0.1, 0.2, 0.2, 0.4, 0.1], [1.0, 2.0, 2.0, np.nan, np.nan, np.nan]
    )
    np.testing.assert_array_equal(curve.evidence, [0.1, 0.2, 0.4])
    np.testing.assert_allclose(curve.mean, [2.0, 1.5, np.nan])
    np.testing.assert_allclose(curve.standard_error, [np.nan, 0.5, np.nan])
    np.testing.assert_array_equal(curve.n_decided, [1, 2, 0])
    np.testing.assert_array_equal(curve.n, [2, 3, 1])


def test_stronger_evidence_is_decided_sooner():
    trials = tasks.decision(4000, coherence=(0.0, 0.4), rng=rng(20))
    times = tasks.decision_times(trials.targets, dt=trials.dt)
    curve = tasks.chronometric(np.abs(trials.condition["evidence"]), times)
    slow, fast = curve.mean
    assert slow - fast > 5 * np.hypot(*curve.standard_error)


# Bad arguments


def quiet(n_stimuli=2):
    return tasks.delayed_match(2, n_stimuli=n_stimuli, rng=rng())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda g: tasks.flip_flop(0, rng=g), "n_trials must be greater than 0, got 0"),
        (lambda g: tasks.flip_flop(2.5, rng=g), "n_trials must be an integer"),
        (lambda g: tasks.flip_flop(2, n_bits=0, rng=g), "n_bits must be"),
        (lambda g: tasks.flip_flop(2, dt=-1, rng=g), "dt must be greater than 0, got -1"),
        (
            lambda g: tasks.flip_flop(2, duration=20.1, rng=g),
            r"duration must be a whole number of steps dt = 0.2, got 20.1",
        ),
        (lambda g: tasks.flip_flop(2, pulse_width=0.1, rng=g), "pulse_width must be a whole"),
        (lambda g: tasks.flip_flop(2, min_gap=1.0, rng=g), "min_gap must be longer than pulse_w"),
        (lambda g: tasks.flip_flop(2, mean_extra_gap=-1, rng=g), "mean_extra_gap must be at least"),
        (lambda g: tasks.flip_flop(2, grace=-0.2, rng=g), "grace must be at least 0"),
        (lambda g: tasks.flip_flop(2, noise=-1, rng=g), "noise must be at least 0"),
        (lambda g: quiet(n_stimuli=1), "n_stimuli must be an integer, at least 2, got 1"),
        (lambda g: tasks.delayed_match(2, delay=(1, 0.5), rng=g), r"delay must be \(shortest"),
        (lambda g: tasks.delayed_match(2, delay=1.0, rng=g), r"delay must have shape \(2,\)"),
        (lambda g: tasks.delayed_match(2, response=0, rng=g), "response must be greater than 0"),
        (lambda g: tasks.decision(2, coherence=(-0.1,), rng=g), "coherence must have a value and"),
        (lambda g: tasks.decision(2, coherence=(), rng=g), "coherence must have a value"),
        (lambda g: tasks.decision(2, stimulus=11.0, rng=g), "stimulus must be at most duration"),
        (lambda g: tasks.decision(2, tau=0, rng=g), "tau must be greater than 0"),
        (lambda g: tasks.decision(2, noise=100.0, rng=g), "dt must be shorter for this teacher"),
        (lambda g: tasks.decision(2, teacher=sine(2), rng=g), "teacher must have .* got 'sine'"),
        (lambda g: tasks.decision(2, teacher=hopf(), rng=g), "teacher must have one dimension"),
        (lambda g: tasks.separatrix(polynomial((0.0, 1.0))), "teacher must have"),
        (lambda g: tasks.teacher_response(np.zeros((2, 3, 2)), dt=0.1), r"u must have shape"),
        (lambda g: tasks.decision(2, z0=np.nan, rng=g), "z0 must be finite"),
        (lambda g: tasks.context_decision(2, coherence=(0, 1), rng=g), "coherence must be greater"),
        (lambda g: tasks.context_decision(2, cue=0.03, rng=g), "cue must be a whole number"),
        (lambda g: tasks.wong_wang(np.zeros(3)), r"s must have shape \(..., 2\), got \(3,\)"),
        (lambda g: tasks.wong_wang(np.zeros(2), coherence=1.5), "coherence must be between -1"),
        (lambda g: tasks.wong_wang(np.zeros(2), mu0=-1), "mu0 must be at least 0"),
        (lambda g: tasks.ou_tracking(2, warm_up=20.0, rng=g), "warm_up must be shorter than"),
        (lambda g: tasks.ou_tracking(2, std=0, rng=g), "std must be greater than 0"),
        (lambda g: tasks.ou_tracking(2, n_signals=0, rng=g), "n_signals must be"),
        (lambda g: tasks.ou_integration(2, tau_integral=0, rng=g), "tau_integral must be greater"),
        (lambda g: tasks.ou_switch(2, mean_dwell=0, rng=g), "mean_dwell must be greater than 0"),
        (lambda g: tasks.wiener_filter(tau=1, noise=0), "noise must be greater than 0"),
        (lambda g: tasks.kalman_filter(dt=1, tau=1, noise=-1), "noise must be at least 0"),
        (lambda g: tasks.kalman_filter(dt=0, tau=1, noise=1), "dt must be greater than 0"),
        (lambda g: tasks.ideal_accuracy(1.0, noise=0, stimulus=1), "noise must be greater than 0"),
        (lambda g: tasks.psychometric([0.1], [0]), r"choice must be \+1 or -1, got \[0.0\]"),
        (lambda g: tasks.psychometric([0.1], [1, 1]), r"choice must have shape \(1,\)"),
        (lambda g: tasks.psychometric([0.1], [1], level=1), "level must be between 0 and 1"),
        (
            lambda g: tasks.decision_times(np.zeros((1, 2, 1)), dt=1, bounds=(1, -1)),
            "bounds must increase",
        ),
        (lambda g: tasks.chronometric([0.1], [1, 1]), r"times must have shape \(1,\), got \(2,\)"),
        (
            lambda g: tasks.mean_squared_error(np.zeros((1, 2)), tasks.flip_flop(1, rng=g)),
            r"outputs must have shape \(1, 100, 3\), got \(1, 2\)",
        ),
        (
            lambda g: tasks.bit_accuracy(
                np.zeros((1, 2, 1)), toy(np.zeros((1, 2, 1)), [[[0], [0]]])
            ),
            "trials must have something that is scored",
        ),
        (
            lambda g: tasks.choices(np.zeros((2, 1, 1)), toy(np.zeros((2, 1, 1)), [[[1]], [[0]]])),
            "trials must have a scored time in every trial",
        ),
        (
            lambda g: tasks.choice_accuracy(np.zeros((1, 1, 1)), toy([[[1]]], [[[1]]])),
            "trials must have a condition 'correct'",
        ),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(rng())

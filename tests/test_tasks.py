"""Tasks against their definitions rebuilt by loops, optima against observers that reach them."""

from functools import partial

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import root

from lrnn import tasks, tracking
from lrnn.behaviour import choice_accuracy
from lrnn.targets import cubic, hopf, polynomial, sine

ALL = [
    partial(tasks.flip_flop, noise=0.1),
    partial(tasks.delayed_match, noise=0.1),
    tasks.decision,
    tasks.context_decision,
    partial(tracking.ou_tracking, warm_up=2.0),
    partial(tracking.ou_denoising, n_signals=2),
    tracking.ou_integration,
    partial(tracking.ou_switch, mean_dwell=3.0, noise=0.2),
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
    "task", [tasks.flip_flop, tasks.delayed_match, tracking.ou_denoising, tracking.ou_switch]
)
def test_noise_is_white_of_its_intensity_and_leaves_the_rest_of_the_trial(task):
    quiet, noisy = (task(200, noise=noise, rng=rng()) for noise in (0.0, 0.7))
    np.testing.assert_array_equal(quiet.targets, noisy.targets)
    channels = slice(2) if task is tracking.ou_switch else slice(None)
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
        accuracy = choice_accuracy(trials.targets, trials)
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


# Scores


def toy(targets, scored):
    targets, scored = np.array(targets, dtype=float), np.array(scored, dtype=bool)
    inputs = np.zeros((*targets.shape[:2], 1))
    return tasks.Trials(inputs, targets, scored, 0.5, {})


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


# Bad arguments


def quiet(n_stimuli=2):
    return tasks.delayed_match(2, n_stimuli=n_stimuli, rng=rng())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda g: tasks.flip_flop(0, rng=g),
            "n_trials must be a whole number of at least 1, got 0",
        ),
        (lambda g: tasks.flip_flop(2.5, rng=g), "n_trials must be a whole number of"),
        (lambda g: tasks.flip_flop(2, n_bits=0, rng=g), "n_bits must be"),
        (lambda g: tasks.flip_flop(2, dt=-1, rng=g), "dt must be greater than 0, got -1"),
        (
            lambda g: tasks.flip_flop(2, duration=20.1, rng=g),
            r"duration must be a whole number of steps dt = 0.2, got 20.1",
        ),
        (lambda g: tasks.flip_flop(2, duration=1e-9, rng=g), "duration must be a whole number of"),
        (lambda g: tasks.flip_flop(2, pulse_width=0.1, rng=g), "pulse_width must be a whole"),
        (lambda g: tasks.flip_flop(2, min_gap=1.0, rng=g), "min_gap must be longer than pulse_w"),
        (lambda g: tasks.flip_flop(2, mean_extra_gap=-1, rng=g), "mean_extra_gap must be at least"),
        (lambda g: tasks.flip_flop(2, grace=-0.2, rng=g), "grace must be at least 0"),
        (lambda g: tasks.flip_flop(2, noise=-1, rng=g), "noise must be at least 0"),
        (lambda g: quiet(n_stimuli=1), "n_stimuli must be a whole number of at least 2"),
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
        (lambda g: tasks.ideal_accuracy(1.0, noise=0, stimulus=1), "noise must be greater than 0"),
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
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(rng())

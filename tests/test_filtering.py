"""The exact loss against simulation, sums over the past and integrals over frequency; its gradient
against autograd; flows against the best filter."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.linalg import solve_discrete_lyapunov

from lrnn import filtering, tracking
from lrnn.filtering import denoising, integration, learn, loss, optimum, rank_one
from lrnn.outliers import effective_pole


def random_network(N, D, seed, gain=0.6):
    rng = np.random.default_rng(seed)
    J = gain * rng.normal(size=(N, N)) / np.sqrt(N)
    return J, rng.normal(size=(N, D)) / np.sqrt(N), rng.normal(size=(N, D)) / np.sqrt(N)


def aligned(N, gain, seed):
    """gW and one unit vector, along which input comes in."""
    rng = np.random.default_rng(seed)
    J, B = gain * rng.normal(size=(N, N)) / np.sqrt(N), rng.normal(size=(N, 1))
    return J, B / np.linalg.norm(B)


def slow_signal(rate, dt=0.0):
    """A signal of rate 0.2, std 1, and the noise for which the best filter has the given rate."""
    return denoising(tau=5.0, noise=np.sqrt(0.4 / (rate**2 - 0.04)), dt=dt)


PROBLEMS = {
    "denoising": lambda dt: denoising(tau=2.0, std=1.5, noise=0.7, dt=dt),
    "tracking": lambda dt: denoising(tau=2.0, std=0.5, noise=0.0, dt=dt),
    "integration": lambda dt: integration(tau=2.0, std=1.2, tau_integral=3.0, dt=dt),
}


@pytest.fixture(params=PROBLEMS)
def make(request):
    return PROBLEMS[request.param]


# Problems


@pytest.mark.parametrize("dt", [0.01, 0.5])
def test_covariance_is_stationary(make, dt):
    problem = make(dt)
    step = np.eye(len(problem.drift)) + dt * problem.drift
    kicks = dt * np.outer(problem.spread, problem.spread)
    np.testing.assert_allclose(problem.covariance, solve_discrete_lyapunov(step, kicks), rtol=1e-9)


def test_short_steps_become_continuous_time(make):
    def distance(dt):
        near, known = make(dt), make(0.0)
        parts = ("drift", "spread", "covariance", "rate", "gain", "error")
        if not np.isfinite(known.rate):
            parts = parts[:3]
        return np.concatenate(
            [np.ravel(getattr(near, each)) - np.ravel(getattr(known, each)) for each in parts]
        )

    coarse, fine = distance(2e-4), distance(1e-4)
    moved = np.abs(fine) > 1e-9
    np.testing.assert_allclose(np.log2(coarse[moved] / fine[moved]), 1.0, atol=0.01)


@pytest.mark.parametrize(("rate", "eigenvalue"), [(0.3, 0.7045), (3.0, -1.5836)])
def test_optimum_is_one_minus_the_rate_and_in_steps_what_was_computed_before(rate, eigenvalue):
    assert optimum(slow_signal(rate)).eigenvalue == pytest.approx(1 - rate, rel=1e-12)
    assert optimum(slow_signal(rate), tau=0.5).eigenvalue == pytest.approx(1 - rate / 2, rel=1e-12)
    steps = optimum(slow_signal(rate, dt=0.1))
    assert steps.eigenvalue == pytest.approx(eigenvalue, abs=6e-5)  # its printed digits
    known = tracking.kalman_filter(dt=0.1, tau=5.0, noise=slow_signal(rate).noise)
    assert steps.error == known.error


def test_a_clean_signal_is_best_tracked_at_once():
    assert optimum(PROBLEMS["tracking"](0.0)) == (-np.inf, np.inf, 0.0)
    # In steps: x_{k+1} = u_k.
    assert optimum(PROBLEMS["tracking"](0.1), tau=2.0) == pytest.approx((-19.0, 20.0, 0.0))


@pytest.mark.parametrize("dt", [0.0, 0.2])
@pytest.mark.parametrize("tau", [1.0, 0.4])
def test_the_optimal_network_has_the_optimal_error(make, dt, tau):
    problem = make(dt)
    best = optimum(problem, tau=tau)
    if not np.isfinite(best.eigenvalue):
        return
    one = loss(problem, [[best.eigenvalue]], [[best.overlap]], [[1.0]], tau=tau)
    assert one.value == pytest.approx(best.error, abs=1e-12)
    for name in ("J", "w_out", "w_in"):
        np.testing.assert_allclose(getattr(one, name), 0, atol=1e-11)
    for seed in range(20):
        J, w_out, w_in = random_network(5, 1, seed)
        assert loss(problem, J, w_out, w_in, tau=tau).value > best.error


# Loss


@pytest.mark.parametrize("seed", [0, 1])
def test_loss_is_the_error_of_the_network_on_trials(seed):
    """Euler steps from rest through the trials of `tracking`, two signals, scored at the end."""
    dt, tau, B = 0.1, 0.5, 4000
    J, w_out, w_in = random_network(6, 2, seed)
    common = {"n_signals": 2, "duration": 20.0, "dt": dt, "rng": np.random.default_rng(seed)}
    cases = {
        "denoising": tracking.ou_denoising(B, tau=2.0, std=1.5, noise=0.7, **common),
        "tracking": tracking.ou_tracking(B, tau=2.0, std=0.5, **common),
        "integration": tracking.ou_integration(B, tau=2.0, std=1.2, tau_integral=3.0, **common),
    }
    for name, trials in cases.items():
        x = np.zeros((B, 6))
        for k in range(trials.inputs.shape[1]):
            x += dt / tau * (-x + x @ J.T + trials.inputs[:, k] @ w_in.T)
        errors = (x @ w_out - trials.targets[:, -1]) ** 2
        expected = loss(PROBLEMS[name](dt), J, w_out, w_in, tau=tau).value
        # Squared Gaussians, 2 B of them, not quite independent: five standard errors of B. What is
        # left of the start after 20 s is e^-6 at most.
        assert errors.mean() == pytest.approx(expected, rel=5 * np.sqrt(2 / B))


def sum_over_the_past(problem, J, w_out, w_in, tau, penalty, terms=700):
    """The loss of a network with one signal in steps from its impulse response, in torch."""
    N, dt = len(J), problem.dt
    transition = torch.eye(N, dtype=J.dtype) * (1 - dt / tau) + dt / tau * J
    state, response = dt / tau * w_in[:, 0], []
    for _ in range(terms):
        response.append(w_out[:, 0] @ state)
        state = transition @ state
    response = torch.stack(response)
    step, lagged, with_target, own = np.eye(len(problem.drift)) + dt * problem.drift, [], [], []
    power = problem.covariance @ problem.seen
    for _ in range(terms):
        own.append(problem.seen @ power)
        with_target.append(problem.wanted @ power)
        power = step @ power
    lags = np.abs(np.subtract.outer(np.arange(terms), np.arange(terms)))
    lagged = torch.tensor(np.array(own)[lags] + problem.noise**2 / dt * np.eye(terms))
    variance = problem.wanted @ problem.covariance @ problem.wanted
    error = response @ lagged @ response - 2 * response @ torch.tensor(np.array(with_target))
    return error + variance + penalty * torch.sum(J**2)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_loss_and_gradient_are_those_of_the_sum_over_the_past(make, seed):
    problem = make(0.2)
    weights = [torch.tensor(each, requires_grad=True) for each in random_network(5, 1, seed)]
    slow = sum_over_the_past(problem, *weights, tau=0.8, penalty=0.03)
    slow.backward()
    fast = loss(problem, *(w.detach().numpy() for w in weights), tau=0.8, penalty=0.03)
    # The slowest mode here loses more than e^-30 over 700 steps; the rest is round-off.
    assert fast.value == pytest.approx(slow.item(), rel=1e-10)
    for ours, theirs in zip(fast[1:], weights, strict=True):
        np.testing.assert_allclose(ours, theirs.grad, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_loss_is_the_integral_over_frequencies_in_continuous_time(make, seed):
    problem, tau = make(0.0), 0.8
    J, w_out, w_in = random_network(5, 1, seed)

    def density(w):
        s = 1j * w
        answer = (w_out.T @ np.linalg.solve((tau * s + 1) * np.eye(5) - J, w_in)).item()
        modes = np.linalg.solve(s * np.eye(len(problem.drift)) - problem.drift, problem.spread)
        error = answer * (problem.seen @ modes) - problem.wanted @ modes
        return (abs(error) ** 2 + problem.noise**2 * abs(answer) ** 2) / np.pi

    slow = sum(quad(density, *ends, limit=200)[0] for ends in ((0, 1), (1, 20), (20, np.inf)))
    assert loss(problem, J, w_out, w_in, tau=tau).value == pytest.approx(slow, rel=1e-7)  # quad's


@pytest.mark.parametrize("dt", [0.0, 0.2])
@pytest.mark.parametrize("D", [1, 3])
def test_gradient_is_that_of_finite_differences(make, dt, D):
    problem, options = make(dt), {"tau": 0.7, "penalty": 0.02}
    weights = dict(zip(("J", "w_out", "w_in"), random_network(6, D, 3), strict=True))
    here, rng = loss(problem, **weights, **options), np.random.default_rng(4)
    for name, value in weights.items():
        way = rng.normal(size=value.shape)
        ends = [
            loss(problem, **weights | {name: value + step * way}, **options).value
            for step in (-1e-5, 1e-5)
        ]
        slope = np.sum(getattr(here, name) * way)
        # Differences have an error of 1e-10 from the step and 1e-11 from round-off.
        assert (ends[1] - ends[0]) / 2e-5 == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_signals_that_do_not_meet_are_averaged():
    problem = PROBLEMS["denoising"](0.1)
    first, second = (random_network(4, 1, seed) for seed in (0, 1))
    zeros, column = np.zeros((4, 4)), np.zeros((4, 1))
    J = np.block([[first[0], zeros], [zeros, second[0]]])
    w_out, w_in = (np.block([[first[i], column], [column, second[i]]]) for i in (1, 2))
    both = loss(problem, J, w_out, w_in).value
    assert both == pytest.approx(
        (loss(problem, *first).value + loss(problem, *second).value) / 2, rel=1e-12
    )


def test_loss_does_not_depend_on_the_axes_of_neurons_nor_on_the_unit_of_time(make):
    J, w_out, w_in = random_network(6, 2, 5)
    turn = np.linalg.qr(np.random.default_rng(6).normal(size=(6, 6)))[0]
    one = loss(make(0.1), J, w_out, w_in, penalty=0.01)
    other = loss(make(0.1), turn @ J @ turn.T, turn @ w_out, turn @ w_in, penalty=0.01)
    assert other.value == pytest.approx(one.value, rel=1e-12)
    np.testing.assert_allclose(other.J, turn @ one.J @ turn.T, atol=1e-12)
    np.testing.assert_allclose(other.w_in, turn @ one.w_in, atol=1e-12)
    for dt in (0.0, 0.5):
        slow = denoising(tau=20.0, std=1.5, noise=0.7 * np.sqrt(10), dt=10 * dt)
        fast = denoising(tau=2.0, std=1.5, noise=0.7, dt=dt)
        assert loss(slow, J, w_out, w_in, tau=7.0).value == pytest.approx(
            loss(fast, J, w_out, w_in, tau=0.7).value, rel=1e-12
        )


@pytest.mark.parametrize("dt", [0.0, 0.1])
def test_a_network_near_the_edge_of_stability_is_still_exact(dt):
    """Time constants of 1 and 10^5 in one network, seen through another basis."""
    problem = denoising(tau=1e5, noise=1.0, dt=dt)
    turn = np.linalg.qr(np.random.default_rng(7).normal(size=(3, 3)))[0]
    J = turn @ np.diag([1 - 1e-5, 0.0, -1.0]) @ turn.T
    w_in, w_out = turn[:, :1], 1e-5 * turn[:, :1]
    known = rank_one(problem, 1 - 1e-5, 1e-5)
    got = loss(problem, J, w_out, w_in)
    # The condition of the Lyapunov equation is 1e5.
    assert got.value == pytest.approx(known.value, rel=1e-9)
    assert (turn[:, 0] @ got.J @ turn[:, 0]) == pytest.approx(known.slope, rel=1e-7)


@pytest.mark.parametrize(
    ("dt", "eigenvalues"),
    [
        (0.0, (1.5, 0.0)),
        (0.0, (1.0, 0.0)),
        (0.1, (1.001, 0.0)),
        (0.1, (-19.001, 0.0)),
    ],
)
def test_an_unstable_network_has_an_infinite_loss(dt, eigenvalues):
    problem = slow_signal(3.0, dt)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    J = turn @ np.diag(eigenvalues) @ turn.T
    # The unstable mode is hidden from output and input, but for round-off.
    lost = loss(problem, J, turn[:, 1:], turn[:, 1:])
    assert lost.value == np.inf
    assert np.isnan(lost.J).all()
    stable = loss(
        problem, -18.999 * np.eye(2) if dt else -1e3 * np.eye(2), turn[:, 1:], turn[:, 1:]
    )
    assert np.isfinite(stable.value)


def test_an_eigenvalue_on_the_pole_of_the_map_is_unstable():
    """For a signal of 4 s the map of the half plane has a pole at 1/2, where J - 1 has one too."""
    J, hidden = np.diag([1.5, 0.0]), np.array([[0.0], [1.0]])
    assert loss(denoising(tau=4.0, noise=1.0), J, hidden, hidden).value == np.inf


# One mode


@pytest.mark.parametrize("dt", [0.0, 0.3])
@pytest.mark.parametrize("eigenvalue", [-2.0, 0.4, 0.9])
def test_closed_form_of_one_mode_is_the_exact_loss(make, dt, eigenvalue):
    problem, options = make(dt), {"tau": 0.8, "penalty": 0.05}
    form = rank_one(problem, eigenvalue, 0.7, **options)
    exact = loss(problem, [[eigenvalue]], [[0.7]], [[1.0]], **options)
    assert form.value == pytest.approx(exact.value, rel=1e-12)
    assert form.slope == pytest.approx(exact.J.item(), rel=1e-10)
    slopes = [
        loss(problem, [[eigenvalue + step]], [[0.7]], [[1.0]], **options).J.item()
        for step in (-1e-5, 1e-5)
    ]
    assert form.curvature == pytest.approx((slopes[1] - slopes[0]) / 2e-5, rel=1e-6)


def test_closed_form_is_the_one_of_the_page():
    std, noise, a, tau, eigenvalue, overlap = 1.3, 0.6, 1 / 2.5, 0.7, -0.4, 1.1
    b, k, r = (1 - eigenvalue) / tau, overlap / tau, noise**2
    page = std**2 * (1 - 2 * k / (b + a) + k**2 / (b * (b + a))) + r * k**2 / (2 * b)
    problem = denoising(tau=2.5, std=std, noise=noise)
    got = rank_one(problem, eigenvalue, overlap, tau=tau, penalty=0.1)
    assert got.value == pytest.approx(page + 0.1 * eigenvalue**2, rel=1e-12)


@pytest.mark.parametrize("dt", [0.0, 0.1])
@pytest.mark.parametrize("rate", [0.21, 3.0, 30.0])
def test_the_minimum_without_a_penalty_is_the_optimum(rate, dt):
    best = optimum(slow_signal(rate, dt), tau=0.7)
    got = filtering.rank_one_minimum(slow_signal(rate, dt), best.overlap, tau=0.7)
    assert got == pytest.approx(best.eigenvalue, rel=1e-7)  # a slope is flat to round-off


@pytest.mark.parametrize(("rate", "shifted"), [(0.3, 0.695), (3.0, -1.830)])
def test_a_penalty_shifts_the_minimum_as_computed_before(rate, shifted):
    problem = slow_signal(rate)
    best = optimum(problem)
    held = filtering.rank_one_minimum(problem, best.overlap, penalty=0.01)
    assert held == pytest.approx(shifted, abs=5e-4)  # its printed digits
    around = [
        rank_one(problem, held + step, best.overlap, penalty=0.01).value
        for step in (-0.01, 0, 0.01)
    ]
    assert around[1] < min(around[0], around[2])


@pytest.mark.parametrize("dt", [0.0, 0.1])
def test_descent_is_stable_up_to_two_over_the_curvature(dt):
    problem = slow_signal(3.0, dt)
    best = optimum(problem)
    curvature = rank_one(problem, best.eigenvalue, best.overlap).curvature

    def distances(rate):
        J = np.array([[best.eigenvalue + 1e-4]])
        for _ in range(50):
            J = J - rate * loss(problem, J, [[best.overlap]], [[1.0]]).J
        return abs(J.item() - best.eigenvalue)

    assert distances(1.98 / curvature) < 1e-4 < distances(2.02 / curvature)


# Learning


@pytest.mark.parametrize("dt", [0.0, 0.1])
@pytest.mark.parametrize("rate", [0.3, 1.0, 3.0])
def test_flow_from_nothing_ends_at_the_best_filter(rate, dt):
    problem = slow_signal(rate, dt)
    best, B = optimum(problem), np.full((4, 1), 0.5)
    run = learn(problem, np.zeros((4, 4)), best.overlap * B, B, [0.0, 500.0])
    assert run.loss[-1] == pytest.approx(best.error, abs=1e-9)
    # Slowest is exp(-0.18 t); J itself has the error of a step, which decays with it.
    np.testing.assert_allclose(run.J[-1], best.eigenvalue * B @ B.T, atol=1e-6)


def test_flow_with_a_penalty_ends_at_the_shifted_minimum():
    for rate, shifted in ((0.3, 0.695), (3.0, -1.830)):
        problem = slow_signal(rate)
        B = np.full((4, 1), 0.5)
        w_out = optimum(problem).overlap * B
        run = learn(problem, np.zeros((4, 4)), w_out, B, [0.0, 300.0], penalty=0.01)
        known = filtering.rank_one_minimum(problem, optimum(problem).overlap, penalty=0.01)
        assert np.trace(run.J[-1]) == pytest.approx(known, abs=1e-5)  # what is left of errors
        assert known == pytest.approx(shifted, abs=5e-4)


@pytest.mark.parametrize("seed", [0, 1])
def test_with_a_bulk_the_effective_pole_and_not_the_outlier_is_the_optimal_one(seed):
    """N = 60, g = 0.5: outside the disc for rates below 1 - g and above 1 + g, slowly."""
    J, B = aligned(60, 0.5, seed)
    edge = np.abs(np.linalg.eigvals(J)).max()
    for rate in (0.25, 1.0, 3.0):
        problem = slow_signal(rate)
        best = optimum(problem)
        run = learn(problem, J, best.overlap * B, B, [0.0, 10.0, 100.0, 1000.0])
        assert (np.diff(run.loss) < 0).all()
        assert 0 < run.loss[-1] - best.error < 5e-5
        effective = effective_pole(run.J[-1], run.w_out[-1, :, 0], run.w_in[-1, :, 0])
        assert effective == pytest.approx(best.eigenvalue, abs=0.01)
        spectrum = np.linalg.eigvals(run.J[-1])
        if rate == 1.0:
            assert np.abs(spectrum).max() < edge + 0.05
        else:
            outlier = spectrum[np.argmax(np.abs(spectrum))]
            assert outlier.imag == 0
            assert np.sign(outlier.real) == np.sign(best.eigenvalue)
            assert 0.15 < abs(outlier.real) - edge < abs(best.eigenvalue)
            # The bulk shares in the filtering, and gives it up as an inverse power of time.
            assert abs(outlier.real - best.eigenvalue) < 0.35


def test_flow_is_the_limit_of_descent():
    problem = PROBLEMS["denoising"](0.1)
    start = dict(zip(("J", "w_out", "w_in"), random_network(8, 2, 8), strict=True))
    options = {"tau": 0.5, "penalty": 0.01}
    for trainable in (("J",), ("w_out", "J"), ("w_in",), ("J", "w_out", "w_in")):
        run = learn(problem, **start, t=[3.0, 3.4], trainable=trainable, tolerance=1e-7, **options)
        errors = []
        for steps in (100, 200):
            weights = dict(start)
            for _ in range(steps):
                slope = loss(problem, **weights, **options)
                for name in trainable:
                    weights[name] = weights[name] - 0.4 / steps * getattr(slope, name)
            errors.append(sum(np.abs(getattr(run, n)[-1] - weights[n]).max() for n in weights))
            assert all((getattr(run, n)[-1] == start[n]).all() for n in set(start) - set(trainable))
        assert np.log2(errors[0] / errors[1]) == pytest.approx(1.0, abs=0.1)  # Euler
        final = loss(problem, run.J[-1], run.w_out[-1], run.w_in[-1], **options)
        assert run.loss[-1] == final.value


def test_a_readout_that_starts_orthogonal_to_the_input_has_to_learn_too():
    """J alone comes nowhere near in a time in which J and w_out are done."""
    problem = slow_signal(0.3)
    best = optimum(problem)
    B, w_out = np.eye(2)[:, :1], best.overlap * np.eye(2)[:, 1:]
    alone, both = (
        learn(problem, np.zeros((2, 2)), w_out, B, [0.0, 300.0], trainable=names)
        for names in (("J",), ("J", "w_out"))
    )
    assert alone.loss[-1] - best.error > 0.01
    assert both.loss[-1] - best.error < 1e-5
    nearest = np.linalg.eigvals(both.J[-1]).max()
    assert nearest == pytest.approx(best.eigenvalue, abs=0.01)


# The beginning


@pytest.mark.parametrize("rate", [0.3, 3.0])
def test_first_gradient_of_a_large_network_is_that_of_two_chains(rate):
    """Alignments of its singular vectors with w and B, and its size; N = 50 and 400, 8 seeds."""
    problem = slow_signal(rate)
    overlap = optimum(problem).overlap

    def measures(J, B):
        slope = loss(problem, J, overlap * B, B).J
        u, size, v = np.linalg.svd(slope)
        first = size[0] ** 2 / np.sum(size**2)
        return abs(u[:, 0] @ B[:, 0]), abs(v[0] @ B[:, 0]), size[0], first

    for gain in (0.3, 0.6):
        known = measures(filtering.chain(gain, 25), np.eye(51)[:, :1])
        assert known[3] > 0.999  # one rank-one term, from the first step on
        spread = []
        for N in (50, 400):
            seen = np.array([measures(*aligned(N, gain, seed)) for seed in range(8)]) / known
            spread.append(np.sqrt(np.mean((seen - 1) ** 2, axis=0)))
        assert (spread[1][:3] < 0.1).all()
        # sqrt(50/400) is 0.35, and eight seeds tell the ratio of two root mean squares to 35 %.
        assert (spread[1][:3] < 0.7 * spread[0][:3]).all()


def test_a_chain_is_two_orthogonal_sequences():
    J, e = filtering.chain(0.5, 4), np.eye(9)[:, 0]
    forward, backward = [e], [e]
    for _ in range(4):
        forward.append(J @ forward[-1])
        backward.append(J.T @ backward[-1])
    both = np.array(forward + backward[1:])
    expected = np.diag(0.25 ** np.array([0, 1, 2, 3, 4, 1, 2, 3, 4]))
    np.testing.assert_allclose(both @ both.T, expected, atol=1e-15)


GOOD = {"J": np.zeros((2, 2)), "w_out": np.ones((2, 1)), "w_in": np.ones((2, 1))}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p: denoising(tau=0, noise=1), "tau must be greater than 0, got 0"),
        (lambda p: denoising(tau=1, noise=-1), "noise must be at least 0, got -1"),
        (lambda p: denoising(tau=1, std=0, noise=1), "std must be greater than 0"),
        (lambda p: denoising(tau=1, noise=1, dt=-0.1), "dt must be at least 0"),
        (lambda p: integration(tau=1, tau_integral=0), "tau_integral must be greater than 0"),
        (lambda p: optimum(p, tau=0), "tau must be greater than 0"),
        (lambda p: loss(p, **GOOD | {"J": np.zeros((2, 3))}), r"J must have shape \(2, 2\)"),
        (lambda p: loss(p, **GOOD | {"w_in": np.ones(2)}), r"w_in must have shape \(N, D\)"),
        (lambda p: loss(p, **GOOD | {"w_out": np.ones((2, 2))}), r"w_out must have shape \(2, 1\)"),
        (lambda p: loss(p, **GOOD, tau=-1), "tau must be greater than 0"),
        (lambda p: loss(p, **GOOD, penalty=-1), "penalty must be at least 0"),
        (
            lambda p: learn(p, **GOOD, t=[0, 1], trainable=("K",)),
            "trainable must name some of J, w",
        ),
        (lambda p: learn(p, **GOOD, t=[0, 1], trainable=()), "trainable must name some of J, w"),
        (
            lambda p: learn(p, **GOOD | {"J": np.eye(2)}, t=[0, 1]),
            "J must leave the network stable",
        ),
        (lambda p: rank_one(p, 1.0, 1.0), "eigenvalue must leave the network stable, got 1.0"),
        (lambda p: rank_one(slow_signal(1, 0.1), -19.5, 1), "eigenvalue must leave the network"),
        (lambda p: rank_one(p, 0.0, 1.0, penalty=-1), "penalty must be at least 0"),
        (lambda p: filtering.rank_one_minimum(p, 1e3), "overlap must be such that the loss has a"),
        (lambda p: filtering.chain(0.5, 0), "depth must be a whole number of at least 1"),
        (lambda p: filtering.chain(-0.5, 2), "gain must be at least 0"),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(slow_signal(1.0))

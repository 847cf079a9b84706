"""Simulations against the dense network, scipy's integrator, closed forms and each other."""

import dataclasses

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from lrnn.inputs import channels, low_pass_euler, ornstein_uhlenbeck, pulse, silence
from lrnn.network import LowRankRNN, connectivity, decompose, latent, lift, readout, velocity
from lrnn.nonlinearity import Nonlinearity
from lrnn.simulate import (
    DivergenceError,
    simulate,
    simulate_dense,
    simulate_latent,
    simulate_matrix,
    solve,
    solve_latent,
)

SEEDS = [0, 1, 2]
B, T, DT = 3, 80, 0.05
CUBE = Nonlinearity("cube", lambda x: x**3, lambda x: 3 * x**2)


def random_network(seed, form="current", phi="tanh", D=2):
    rng = np.random.default_rng(seed)
    N, R = 40, 2
    m = rng.normal(size=(N, R))
    return LowRankRNN(
        m,
        (1.5 * m + 0.5 * rng.normal(size=(N, R))) / N,
        w_in=rng.normal(size=(N, D)),
        w_out=rng.normal(size=(N, 2)) / N,
        bias=0.3 * rng.normal(size=N),
        tau=0.4,
        phi=phi,
        form=form,
    )


def noise_input(seed):
    rng = np.random.default_rng(seed)
    return ornstein_uhlenbeck((B, T, 2), dt=DT, tau=0.5, rng=rng)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("form", ["current", "rate"])
@pytest.mark.parametrize("phi", ["tanh", "relu"])
def test_thin_products_are_the_dense_network(seed, form, phi):
    net, u = random_network(seed, form, phi), noise_input(seed)
    state0 = np.random.default_rng(seed).normal(size=(B, 40))
    thin, dense = simulate(net, state0, u, dt=DT), simulate_dense(net, state0, u, dt=DT)
    np.testing.assert_array_equal(thin.t, DT * np.arange(T + 1))
    assert thin.state.shape == (B, T + 1, 40)
    # Round-off, passed on by a network that is not chaotic.
    np.testing.assert_allclose(thin.state, dense.state, atol=1e-11)


@pytest.mark.parametrize("phi", ["tanh", "relu"])
def test_a_matrix_of_low_rank_runs_as_the_network_does(phi):
    net, u = random_network(0, phi=phi), noise_input(0)
    net = dataclasses.replace(net, bias=np.zeros(40))
    state0 = np.random.default_rng(0).normal(size=(B, 40))
    run = simulate_matrix(connectivity(net), state0, u @ net.w_in.T, dt=DT, tau=net.tau, phi=phi)
    dense = simulate_dense(net, state0, u, dt=DT)
    np.testing.assert_array_equal(run.t, dense.t)
    np.testing.assert_allclose(run.state, dense.state, atol=1e-11)  # round-off, as above
    # The same current into all neurons, given once.
    J, one = connectivity(net), u[:1, :, :1]
    wide = simulate_matrix(J, state0, np.repeat(one, 40, axis=2), dt=DT).state
    np.testing.assert_array_equal(simulate_matrix(J, state0, one, dt=DT).state, wide)


@pytest.mark.parametrize("form", ["current", "rate"])
def test_dense_simulation_is_a_loop_over_the_written_equation(form):
    net, u = random_network(7, form), noise_input(7)
    state0 = np.random.default_rng(7).normal(size=(B, 40))
    path = simulate_dense(net, state0, u, dt=DT).state
    J = net.m @ net.n.T
    for b in range(B):
        x = state0[b]
        for k in range(T):
            if form == "current":
                x = x + DT / 0.4 * (-x + J @ np.tanh(x + net.bias) + net.w_in @ u[b, k])
            else:
                a = DT / 0.4
                x = (1 - a) * x + a * np.tanh(J @ x + net.bias + net.w_in @ u[b, k])
            np.testing.assert_allclose(path[b, k + 1], x, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_current_form_latents_and_rest_are_the_full_network_from_any_state(seed):
    net, u = random_network(seed), noise_input(seed)
    rng = np.random.default_rng(seed)
    x0 = rng.normal(size=(B, 40))
    start = decompose(net, x0)
    small = simulate_latent(net, start.kappa, u, dt=DT, v0=start.v, rest0=start.rest)
    full = simulate(net, x0, u, dt=DT)
    rest = start.rest[:, None] * (1 - DT / net.tau) ** np.arange(T + 1)[:, None]
    # Round-off, as above.
    np.testing.assert_allclose(lift(net, small.kappa, small.v) + rest, full.state, atol=1e-11)
    np.testing.assert_allclose(small.y, readout(net, full.state), atol=1e-12)
    np.testing.assert_allclose(small.v, low_pass_euler(u, dt=DT, tau=0.4, v0=start.v), atol=1e-13)


@pytest.mark.parametrize("seed", SEEDS)
def test_rate_form_latents_and_readout_are_those_of_the_full_network_from_any_state(seed):
    net, u = random_network(seed, "rate"), noise_input(seed)
    h0 = np.random.default_rng(seed).normal(size=(B, 40))
    small = simulate_latent(net, latent(net, h0), u, dt=DT, y0=readout(net, h0))
    full = simulate(net, h0, u, dt=DT)
    np.testing.assert_allclose(small.kappa, latent(net, full.state), atol=1e-12)
    np.testing.assert_allclose(small.y, readout(net, full.state), atol=1e-12)
    np.testing.assert_array_equal(small.v[:, :-1], u)


def test_the_two_forms_are_one_system_seen_differently():
    """x = J h + w_in u of the rate network obeys the current form with input u + tau du/dt."""
    rate = random_network(0, "rate", D=1)
    current = dataclasses.replace(rate, form="current")
    t = np.linspace(0, 3, 31)
    u = lambda t: np.array([np.sin(2 * t)])  # noqa: E731
    ahead = lambda t: np.array([np.sin(2 * t) + 0.4 * 2 * np.cos(2 * t)])  # noqa: E731
    h0 = np.random.default_rng(0).normal(size=(1, 40))
    h = solve(rate, h0, u, t, rtol=1e-10, atol=1e-12).state
    x = h @ connectivity(rate).T + np.array([u(time) for time in t]) @ rate.w_in.T
    own = solve(current, x[:, 0], ahead, t, rtol=1e-10, atol=1e-12).state
    np.testing.assert_allclose(own, x, atol=1e-8)  # the integrator's tolerance over 3 s


@pytest.mark.parametrize("form", ["current", "rate"])
def test_adaptive_solution_is_scipys_own(form):
    net = random_network(1, form)
    u = lambda t: np.array([np.cos(3 * t), 1.0])  # noqa: E731
    state0 = np.random.default_rng(1).normal(size=(2, 40))
    t = np.linspace(0, 2, 7)
    path = solve(net, state0, u, t, rtol=1e-10, atol=1e-12)
    for b in range(2):
        oracle = solve_ivp(
            lambda s, x: velocity(net, x, u(s)),
            (0, 2),
            state0[b],
            "LSODA",
            t,
            rtol=1e-10,
            atol=1e-12,
        )
        np.testing.assert_allclose(path.state[b], oracle.y.T, atol=1e-7)  # LSODA's global error


@pytest.mark.parametrize("form", ["current", "rate"])
def test_adaptive_latents_are_the_adaptive_full_network(form):
    net = random_network(2, form)
    u = lambda t: np.array([[np.cos(3 * t), 1.0], [0.0, t]])  # noqa: E731
    state0 = np.random.default_rng(2).normal(size=(2, 40))
    t = np.linspace(0.5, 2, 7)
    full = solve(net, state0, u, t, rtol=1e-10, atol=1e-12).state
    if form == "current":
        start = decompose(net, state0)
        begin = {"v0": start.v, "rest0": start.rest}
        small = solve_latent(net, start.kappa, u, t, **begin, rtol=1e-10, atol=1e-12)
        rest = start.rest[:, None] * np.exp(-(t - 0.5) / 0.4)[:, None]
        np.testing.assert_allclose(lift(net, small.kappa, small.v) + rest, full, atol=1e-8)
    else:
        begin = {"y0": readout(net, state0)}
        small = solve_latent(net, latent(net, state0), u, t, **begin, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(small.kappa, latent(net, full), atol=1e-8)
        np.testing.assert_allclose(small.v[:, -1], u(2.0))
    np.testing.assert_allclose(small.y, readout(net, full), atol=1e-8)


@pytest.mark.parametrize("form", ["current", "rate"])
@pytest.mark.parametrize("seed", SEEDS)
def test_euler_approaches_the_adaptive_solution_at_first_order(form, seed):
    net = random_network(seed, form)
    signal = lambda t: np.stack([np.sin(3 * t), np.cos(t)], axis=-1)  # noqa: E731
    kappa0 = np.random.default_rng(seed).normal(size=(1, 2))
    exact = solve_latent(net, kappa0, signal, np.array([0, 2.0]), rtol=1e-11, atol=1e-13).kappa[
        :, -1
    ]

    def error(dt):
        u = signal(dt * np.arange(round(2 / dt)))[None]
        return np.abs(simulate_latent(net, kappa0, u, dt=dt).kappa[:, -1] - exact).max()

    errors = np.array([error(dt) for dt in (0.02, 0.01, 0.005, 0.0025)])
    orders = np.log2(errors[:-1] / errors[1:])
    # First order, up to the next term of the expansion in dt, which halves at each row.
    np.testing.assert_allclose(orders, 1.0, atol=0.12)
    assert orders[-1] == pytest.approx(1.0, abs=0.04)


def test_linear_network_follows_the_matrix_exponential():
    net = dataclasses.replace(random_network(3, phi="linear"), bias=np.zeros(40))
    t = np.linspace(0, 1.5, 4)
    x0 = np.random.default_rng(3).normal(size=(2, 40))
    path = solve(net, x0, lambda t: np.zeros(2), t, rtol=1e-11, atol=1e-13).state
    generator = (connectivity(net) - np.eye(40)) / 0.4
    for k, time in enumerate(t):
        np.testing.assert_allclose(path[:, k], x0 @ expm(generator * time).T, atol=1e-8)


def test_a_brief_pulse_is_not_stepped_over_when_breaks_are_given():
    """With phi = 0 nothing but the filter remains, whose response to a pulse is known."""
    still = Nonlinearity("zero", np.zeros_like, np.zeros_like, bound=0.0)
    net = LowRankRNN(np.ones((3, 1)), np.ones((3, 1)), w_in=np.ones((3, 1)), phi=still)
    u = lambda t: np.array([pulse(t, onset=50.0, width=1e-3, amplitude=1e3)])  # noqa: E731
    t = np.array([0.0, 50.0, 50.001, 51.0])
    path = solve_latent(net, np.zeros((1, 1)), u, t, breaks=(50.0, 50.001))
    peak = 1e3 * (1 - np.exp(-1e-3))
    assert path.v[0, 1, 0] == 0.0  # not even the last stage before the jump has seen it
    np.testing.assert_allclose(path.v[0, :, 0], [0, 0, peak, peak * np.exp(-0.999)], atol=1e-7)


@pytest.mark.parametrize("form", ["current", "rate"])
def test_one_trial_is_repeated_and_trials_do_not_mix(form):
    net = random_network(4, form)
    u = noise_input(4)
    state0 = np.random.default_rng(4).normal(size=(1, 40))
    together = simulate(net, state0, u, dt=DT).state
    for b in range(B):
        alone = simulate(net, state0, u[b : b + 1], dt=DT).state
        np.testing.assert_allclose(together[b], alone[0], atol=1e-13)
    kappa0 = np.random.default_rng(5).normal(size=(4, 2))
    assert simulate_latent(net, kappa0, silence(6, 2), dt=DT).kappa.shape == (4, 7, 2)


def test_silence_is_a_constant_zero_input():
    net = random_network(5)
    t = DT * np.arange(5)
    zero = channels(0 * t, 0 * t)
    kappa0 = np.ones((1, 2))
    np.testing.assert_array_equal(
        simulate_latent(net, kappa0, zero, dt=DT).kappa,
        simulate_latent(net, kappa0, silence(5, 2), dt=DT).kappa,
    )


EXPLOSIVE = LowRankRNN(np.ones((2, 1)), np.ones((2, 1)), phi=CUBE)


def test_euler_divergence_names_the_time():
    """dkappa/dt = -kappa + 2 kappa^3 from 2 overflows at the step that a scalar loop finds."""
    kappa, k = 2.0, 0
    with np.errstate(over="ignore", invalid="ignore"):
        while np.isfinite(kappa):
            kappa, k = kappa + 0.1 * (2 * np.float64(kappa) ** 3 - kappa), k + 1
    for run in (simulate_latent, simulate, simulate_dense):
        start = [[2.0]] if run is simulate_latent else [[2.0, 2.0]]
        with pytest.raises(DivergenceError, match=f"not finite at t = {0.1 * k:.6g} s") as caught:
            run(EXPLOSIVE, start, silence(100), dt=0.1)
        assert caught.value.time == pytest.approx(0.1 * k)


@pytest.mark.parametrize("run", [solve, solve_latent])
def test_adaptive_divergence_names_the_time_of_blow_up(run):
    """dkappa/dt = -kappa + 2 kappa^3 from kappa0 = 2 blows up at ln(1/(1 - 1/(2 kappa0^2)))/2."""
    start = [[2.0]] if run is solve_latent else [[2.0, 2.0]]
    with pytest.raises(DivergenceError) as caught:
        run(EXPLOSIVE, start, None, [0.0, 1.0])
    blow_up = -np.log(1 - 1 / 8) / 2
    assert caught.value.time == pytest.approx(blow_up, rel=1e-3)
    assert isinstance(caught.value, ArithmeticError)


def test_too_large_a_step_is_a_divergence():
    net = LowRankRNN(np.ones((2, 1)), np.zeros((2, 1)), tau=0.1)
    with pytest.raises(DivergenceError, match="try a smaller dt than 1 s"):
        simulate_latent(net, [[1.0]], silence(1000), dt=1.0)


ZERO = np.zeros((2, 2))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda net: simulate(net, np.zeros((2, 39)), silence(3, 2), dt=DT),
            r"state0 must have shape \(B, 40\), got \(2, 39\)",
        ),
        (
            lambda net: simulate_latent(net, np.zeros((2, 3)), silence(3, 2), dt=DT),
            r"kappa0 must have shape \(B, 2\), got \(2, 3\)",
        ),
        (
            lambda net: simulate_latent(net, ZERO, silence(3), dt=DT),
            r"u must have shape \(B, T, 2\), got \(1, 3, 0\)",
        ),
        (
            lambda net: simulate_latent(net, ZERO, np.zeros((3, 5, 2)), dt=DT),
            r"as many trials, got \(2, 2\) and \(3, 5, 2\)",
        ),
        (lambda net: simulate_latent(net, ZERO, silence(0, 2), dt=DT), "at least one step"),
        (lambda net: simulate_latent(net, ZERO, silence(3, 2), dt=0), "dt must be greater than 0"),
        (
            lambda net: simulate_latent(net, ZERO, np.full((1, 3, 2), np.nan), dt=DT),
            r"u must be finite, got nan at index \(0, 0, 0\)",
        ),
        (
            lambda net: simulate_latent(net, ZERO, silence(3, 2), dt=DT, v0=np.zeros((3, 2))),
            r"v0 must have 1 or 2 trials, got shape \(3, 2\)",
        ),
        (
            lambda net: simulate_latent(net, ZERO, silence(3, 2), dt=DT, y0=ZERO),
            "y0 has no meaning for a network in current form",
        ),
        (
            lambda net: simulate_latent(
                dataclasses.replace(net, form="rate"), ZERO, silence(3, 2), dt=DT, v0=ZERO
            ),
            "v0 has no meaning for a network in rate form",
        ),
        (
            lambda net: simulate_matrix(np.eye(3)[:2], ZERO, np.zeros((1, 3, 1)), dt=DT),
            r"J must be square and drive as wide, got \(2, 3\) and \(1, 3, 1\)",
        ),
        (
            lambda net: simulate_matrix(np.eye(2), ZERO, np.zeros((1, 3, 3)), dt=DT),
            r"drive as wide, got \(2, 2\) and \(1, 3, 3\)",
        ),
        (lambda net: solve_latent(net, ZERO, None, [0, 1]), "u must be a function"),
        (
            lambda net: solve_latent(net, ZERO, lambda t: np.zeros(3), [0, 1]),
            r"u\(t\) must have shape \(2,\) or \(2, 2\), got \(3,\)",
        ),
        (lambda net: solve_latent(net, ZERO, lambda t: np.zeros(2), [1, 0]), "increasing"),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(random_network(0))

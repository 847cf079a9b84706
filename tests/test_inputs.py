"""Inputs against scipy's integrator, closed forms and the statistics they promise."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from lrnn import inputs
from lrnn.network import LowRankRNN, decompose, latent_velocity, lift
from lrnn.simulate import simulate_latent, solve, solve_latent


def test_signals_have_the_shape_of_time_and_start_and_stop_where_told():
    t = np.array([-1.0, 0.0, 0.5, 0.999, 1.0, 3.0])
    np.testing.assert_array_equal(inputs.step(t, onset=0.5, amplitude=2), [0, 0, 2, 2, 2, 2])
    np.testing.assert_array_equal(inputs.pulse(t, onset=0.5, width=0.5), [0, 0, 1, 1, 0, 0])
    decay = inputs.exponential_decay(t, tau=2.0, onset=0.5, amplitude=3.0)
    expected = [0, 0, 3, 3 * np.exp(-0.499 / 2), 3 * np.exp(-0.25), 3 * np.exp(-1.25)]
    np.testing.assert_allclose(decay, expected)
    assert np.shape(inputs.pulse(0.7, onset=0.5, width=0.5)) == ()


def test_decay_far_before_its_onset_is_zero_without_overflow():
    assert inputs.exponential_decay(-1e6, tau=1.0) == 0.0


def test_channels_and_silence_make_trials():
    t = np.arange(5.0)
    stacked = inputs.channels(t, 2 * t)
    assert stacked.shape == (1, 5, 2)
    np.testing.assert_array_equal(stacked[0, :, 1], 2 * t)
    assert inputs.silence(7, 3).shape == (1, 7, 3)


@pytest.mark.parametrize("seed", range(3))
def test_low_pass_is_the_exact_solution_between_steps(seed):
    rng = np.random.default_rng(seed)
    u, v0, dt, tau = rng.normal(size=(2, 6, 3)), rng.normal(size=(2, 3)), 0.3, 0.8
    v = inputs.low_pass(u, dt=dt, tau=tau, v0=v0)
    state = v0
    for k in range(6):
        held = u[:, k]
        interval = solve_ivp(
            lambda t, y, held=held: (held.ravel() - y) / tau,
            (0, dt),
            state.ravel(),
            rtol=1e-11,
            atol=1e-13,
        )
        state = interval.y[:, -1].reshape(2, 3)
        np.testing.assert_allclose(v[:, k + 1], state, atol=1e-9)  # the oracle's own tolerance


def test_low_pass_of_a_step_is_the_textbook_charging_curve():
    dt, tau = 0.05, 0.4
    v = inputs.low_pass(np.ones((1, 100, 1)), dt=dt, tau=tau)
    t = dt * np.arange(101)
    np.testing.assert_allclose(v[0, :, 0], 1 - np.exp(-t / tau), atol=1e-13)


def test_euler_filter_is_the_one_inside_the_simulation():
    rng = np.random.default_rng(0)
    net = LowRankRNN(
        rng.normal(size=(9, 1)), rng.normal(size=(9, 1)), w_in=np.ones((9, 2)), tau=0.7
    )
    u, v0 = rng.normal(size=(4, 50, 2)), rng.normal(size=(4, 2))
    path = simulate_latent(net, np.zeros((1, 1)), u, dt=0.1, v0=v0)
    v = inputs.low_pass_euler(u, dt=0.1, tau=0.7, v0=v0)
    np.testing.assert_allclose(v, path.v, atol=1e-14)


def test_euler_filter_approaches_the_exact_one_at_first_order():
    def error(dt):
        u = inputs.channels(np.sin(np.arange(0, 4, dt)))
        exact = inputs.low_pass(u, dt=dt, tau=0.5)
        return np.abs(inputs.low_pass_euler(u, dt=dt, tau=0.5) - exact).max()

    order = np.log2(error(0.02) / error(0.01))
    assert order == pytest.approx(1.0, abs=0.05)


TAU = 0.7
TIMES = np.linspace(0.0, 4.0, 401)
FILTERED = {
    "held": inputs.held(0.5, -2.0),
    "clamped": inputs.clamped(tau=TAU, amplitude=1.5),
    "decaying": inputs.decaying(TAU, 0.2, 3.0, tau=TAU, amplitude=2.0),
    "sampled": inputs.sampled(TIMES, np.cos(np.outer(TIMES, [1.0, 2.0])), tau=TAU),
}
FILTERED["joined"] = inputs.joined(*FILTERED.values())
# Adaptive steps of relative error 1e-8 and less, but across the knots of a spline.
ODE = 1e-6
EACH_INPUT = pytest.mark.parametrize("given", FILTERED.values(), ids=FILTERED)


def small_network(D, form="current"):
    rng = np.random.default_rng(2)
    m, n = rng.normal(size=(30, 2)), rng.normal(size=(30, 2)) / 15
    return LowRankRNN(m, n, w_in=rng.normal(size=(30, D)), tau=TAU, form=form)


@EACH_INPUT
def test_what_the_neurons_see_is_what_the_membrane_makes_of_what_is_sent(given):
    """tau dv/dt = -v + u, by integrating u."""
    run = solve_ivp(
        lambda t, v: (given.u(t) - v) / TAU, (0, 4), given.v(0.0), "DOP853", TIMES[::20],
        rtol=1e-10, atol=1e-12,
    )  # fmt: skip
    np.testing.assert_allclose(given.v(TIMES[::20]), run.y.T, atol=ODE)


@EACH_INPUT
def test_both_sides_of_an_input_have_the_shape_of_time_and_its_channels(given):
    D = len(given.v(0.0))
    for side in given:
        assert side(1.0).shape == (D,)
        assert side(TIMES).shape == (401, D)
        assert side(TIMES[:400].reshape(8, 50)).shape == (8, 50, D)
        np.testing.assert_array_equal(side(TIMES)[100], side(TIMES[100]))


@EACH_INPUT
def test_a_network_started_from_v_sees_v(given):
    net = small_network(len(given.v(0.0)))
    start, t = TIMES[40], TIMES[40::40]
    kappa0, v0 = np.array([[0.3, -0.2]]), given.v(start)[None]
    latents = solve_latent(net, kappa0, given.u, t, v0=v0)
    np.testing.assert_allclose(latents.v[0], given.v(t), atol=ODE)
    if net.n_inputs > 3:
        return  # the larger ones would say the same again
    full = solve(net, lift(net, kappa0, v0), given.u, t)
    np.testing.assert_allclose(decompose(net, full.state[0]).v, given.v(t), atol=ODE)


def test_euler_steps_see_v_up_to_their_first_order_error():
    given, net = FILTERED["decaying"], small_network(3)

    def error(dt):
        t = np.arange(0, 2 + dt / 2, dt)
        u = given.u(t[:-1])[None]
        run = simulate_latent(net, np.zeros((1, 2)), u, dt=dt, v0=given.v(0.0)[None])
        return np.abs(run.v[0] - given.v(t)).max()

    assert np.log2(error(0.02) / error(0.01)) == pytest.approx(1.0, abs=0.1)


def test_a_network_in_rate_form_that_is_sent_v_has_the_same_latents():
    given, t = FILTERED["joined"], TIMES[::40]
    current, rate = small_network(8), small_network(8, "rate")
    kappa0, v0 = np.array([[0.3, -0.2]]), given.v(0.0)[None]
    first = solve_latent(current, kappa0, given.u, t, v0=v0)
    second = solve_latent(rate, kappa0, given.v, t)
    np.testing.assert_allclose(first.kappa, second.kappa, atol=ODE)


def test_a_clamped_input_is_a_decaying_one_with_other_signs_and_offsets():
    """w (1 - e^{-t/tau}) + bias = -w e^{-t/tau} + (bias + w)."""
    rng = np.random.default_rng(3)
    m, n, w, bias = rng.normal(size=(4, 20, 1))
    rising = LowRankRNN(m, n, w_in=w, bias=bias[:, 0], tau=TAU)
    fading = LowRankRNN(m, n, w_in=-w, bias=(bias + w)[:, 0], tau=TAU)
    kappa = rng.normal(size=(401, 1))
    np.testing.assert_allclose(
        latent_velocity(rising, kappa, inputs.clamped(tau=TAU).v(TIMES)),
        latent_velocity(fading, kappa, inputs.decaying(TAU, tau=TAU).v(TIMES)),
        atol=1e-12,  # round-off in sums of order 10
    )


def test_a_clamped_input_starts_at_zero_and_one_that_fades_with_the_membrane_is_not_sent():
    clamped, fading = inputs.clamped(tau=TAU, amplitude=3.0), inputs.decaying(TAU, tau=TAU)
    np.testing.assert_array_equal(clamped.u([-1.0, 0.0, 5.0]).ravel(), [0, 3, 3])
    np.testing.assert_array_equal(clamped.v([-1.0, 0.0]).ravel(), [0, 0])
    np.testing.assert_array_equal(fading.u(TIMES), 0.0)


def test_joined_inputs_keep_their_order():
    both = inputs.joined(FILTERED["clamped"], FILTERED["held"])
    for side, clamped, held in zip(both, FILTERED["clamped"], FILTERED["held"], strict=True):
        np.testing.assert_array_equal(side(TIMES)[:, :1], clamped(TIMES))
        np.testing.assert_array_equal(side(TIMES)[:, 1:], held(TIMES))


def test_sampled_input_is_the_sinusoid_between_its_samples_and_unknown_outside():
    """v = sin(w t) needs u = v + tau w cos(w t); the spline errs by h^4, its slope by h^3."""
    t, w = np.linspace(0, 5, 101), 2.0
    given = inputs.sampled(t, np.sin(w * t)[:, None], tau=TAU)
    between = np.linspace(0, 5, 777)
    v, slope = np.sin(w * between), w * np.cos(w * between)
    # h = 0.05 and w = 2: the bounds 5/384 (w h)^4 and (w h)^3 w/24, some 30-fold at the ends.
    np.testing.assert_allclose(given.v(between)[:, 0], v, atol=4e-5)
    np.testing.assert_allclose(given.u(between)[:, 0], v + TAU * slope, atol=2e-3)
    for side in given:
        assert np.isnan(side(np.array([-0.01, 5.01]))).all()


@pytest.mark.parametrize("dt", [0.05, 1.0])
def test_ornstein_uhlenbeck_has_its_law_at_any_step(dt):
    """Mean, variance and autocovariance within five standard errors; the start is stationary."""
    B, T, tau, std, mean = 4000, 12, 0.6, 1.5, -0.4
    rng = np.random.default_rng(1)
    s = inputs.ornstein_uhlenbeck((B, T, 1), dt=dt, tau=tau, std=std, mean=mean, rng=rng)[..., 0]
    np.testing.assert_allclose(s.mean(axis=0), mean, atol=5 * std / np.sqrt(B))
    np.testing.assert_allclose(s.var(axis=0), std**2, atol=5 * std**2 * np.sqrt(2 / B))
    lags = np.arange(T)
    measured = ((s - mean) * (s[:, :1] - mean)).mean(axis=0)
    expected = std**2 * np.exp(-lags * dt / tau)
    np.testing.assert_allclose(measured, expected, atol=5 * std**2 * np.sqrt(2 / B))


@pytest.mark.parametrize("dt", [0.1, 0.5])
def test_the_integral_of_white_noise_over_a_second_is_the_same_at_any_step(dt):
    u = inputs.white_noise((20000, round(1 / dt)), noise=0.7, dt=dt, rng=np.random.default_rng(2))
    total = dt * u.sum(axis=1)
    assert abs(total.mean()) < 5 * 0.7 / np.sqrt(20000)
    assert total.std() == pytest.approx(0.7, rel=5 / np.sqrt(2 * 20000))  # five standard errors


def test_ornstein_uhlenbeck_trials_and_channels_are_independent_and_reproducible():
    draw = lambda seed: inputs.ornstein_uhlenbeck(  # noqa: E731
        (2, 20000, 2), dt=1.0, tau=0.2, rng=np.random.default_rng(seed)
    )
    s = draw(0)
    np.testing.assert_array_equal(s, draw(0))
    assert not np.array_equal(s, draw(1))
    correlation = np.corrcoef([s[0, :, 0], s[0, :, 1], s[1, :, 0]])
    np.testing.assert_allclose(correlation, np.eye(3), atol=5 / np.sqrt(20000))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda rng: inputs.pulse(0.0, onset=0, width=0), "width must be greater than 0, got 0"),
        (lambda rng: inputs.exponential_decay(0.0, tau=-1), "tau must be greater than 0, got -1"),
        (lambda rng: inputs.channels(), "at least one signal"),
        (
            lambda rng: inputs.channels(np.zeros(3), np.zeros(4)),
            r"signal 1 must have shape \(3,\), got \(4,\)",
        ),
        (
            lambda rng: inputs.ornstein_uhlenbeck((3, 4), dt=1, tau=1, rng=rng),
            r"shape must be \(B, T, D\)",
        ),
        (
            lambda rng: inputs.ornstein_uhlenbeck((3, 4, 1), dt=1, tau=1, std=-1, rng=rng),
            "std must be at least 0",
        ),
        (lambda rng: inputs.white_noise(3, noise=-1, dt=1, rng=rng), "noise must be at least 0"),
        (lambda rng: inputs.white_noise(3, noise=1, dt=0, rng=rng), "dt must be greater than 0"),
        (lambda rng: inputs.low_pass(np.zeros((3, 4)), dt=1, tau=1), r"\(B, T, D\), got \(3, 4\)"),
        (
            lambda rng: inputs.low_pass(np.zeros((3, 4, 2)), dt=1, tau=1, v0=np.zeros(5)),
            r"v0 must broadcast to \(B, D\) = \(3, 2\), got shape \(5,\)",
        ),
        (
            lambda rng: inputs.low_pass(np.full((1, 2, 1), np.nan), dt=1, tau=1),
            r"u must be finite, got nan at index \(0, 0, 0\)",
        ),
        (lambda rng: inputs.low_pass(np.zeros((1, 2, 1)), dt=0, tau=1), "dt must be greater"),
        (lambda rng: inputs.held(1.0, np.nan), "levels must be finite, got nan at index .1,"),
        (lambda rng: inputs.clamped(tau=0), "tau must be greater than 0, got 0"),
        (lambda rng: inputs.decaying(1.0, -2.0, tau=1), "time_constants must be greater .* got -2"),
        (lambda rng: inputs.decaying(1.0, tau=-1), "tau must be greater than 0, got -1"),
        (lambda rng: inputs.sampled([0, 1], np.ones((3, 1)), tau=1), r"v must have shape \(2, D\)"),
        (lambda rng: inputs.sampled([0, 0], np.ones((2, 1)), tau=1), "two increasing times"),
        (lambda rng: inputs.sampled([0], np.ones((1, 1)), tau=1), "two increasing times"),
        (lambda rng: inputs.sampled([0, 1], np.ones((2, 1)), tau=0), "tau must be greater than 0"),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(np.random.default_rng(0))

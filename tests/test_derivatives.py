"""Estimated velocities against a system whose trajectories and velocities are known exactly."""

import numpy as np
import pytest

from lrnn import derivatives, targets

HOPF = targets.hopf()
RNG = np.random.default_rng
DT = 0.05


def recorded(noise, seed=0, T=200):
    """Exact and noisy trajectories, (5, T, 2)."""
    rng = RNG(seed)
    exact = HOPF.flow(rng.uniform(-1.4, 1.4, size=(5, 2)), DT * np.arange(T))
    return exact, exact + noise * rng.normal(size=exact.shape)


def rms(motion, exact):
    inner = (exact.shape[1] - motion.state.shape[1]) // 2
    truth = HOPF.rhs(exact[:, inner : exact.shape[1] - inner])
    return np.sqrt(np.mean((motion.velocity - truth) ** 2))


METHODS = {
    "differences": lambda path: derivatives.central_differences(path, dt=DT),
    "savitzky-golay": lambda path: derivatives.savitzky_golay(path, dt=DT, window=21),
    "spline": lambda path: derivatives.smoothing_spline(path, dt=DT, trim=5),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_polynomial_has_its_own_derivative(name):
    """A quadratic is within what each method represents exactly, up to the spline's ends."""
    t = DT * np.arange(60)
    path = np.stack([3 - t + 0.5 * t**2, 2 * t], axis=-1)[None]
    motion = METHODS[name](path)
    inner = (60 - motion.state.shape[1]) // 2
    wanted = np.stack([-1 + t, np.full_like(t, 2.0)], axis=-1)[None, inner : 60 - inner]
    # The spline ends with zero curvature, which reaches in with a factor 0.27 a sample.
    np.testing.assert_allclose(motion.velocity, wanted, atol=1e-3 if name == "spline" else 1e-10)


def test_central_differences_err_as_the_square_of_the_interval():
    errors = []
    for dt in (0.1, 0.05, 0.025):
        path = HOPF.flow(np.array([[0.5, 0.0]]), np.arange(0, 4 + dt / 2, dt))
        motion = derivatives.central_differences(path, dt=dt)
        errors.append(np.abs(motion.velocity - HOPF.rhs(motion.state)).max())
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 2, atol=0.1)


def test_central_differences_amplify_noise_as_stated():
    path = 0.3 * RNG(1).normal(size=(20, 2000, 1))
    motion = derivatives.central_differences(path, dt=DT)
    # 40000 samples: 1 % is more than three standard errors.
    assert motion.velocity.std() == pytest.approx(0.3 / (np.sqrt(2) * DT), rel=0.01)


@pytest.mark.parametrize("noise", [0.01, 0.05])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_smoothing_beats_differences_under_noise(noise, seed):
    exact, noisy = recorded(noise, seed)
    error = {name: rms(method(noisy), exact) for name, method in METHODS.items()}
    assert error["savitzky-golay"] < error["differences"] / 4
    assert error["spline"] < error["differences"] / 4
    spline = METHODS["spline"](noisy)
    assert np.std(spline.state - exact[:, 5:-5]) < noise / 2  # the states are better, too


def test_the_spline_follows_clean_data():
    exact, _ = recorded(0.0)
    assert rms(METHODS["spline"](exact), exact) < 1e-3 < rms(METHODS["differences"](exact), exact)


def test_points_flatten_trials_and_times_together():
    _, noisy = recorded(0.1)
    state, velocity = derivatives.points(METHODS["differences"](noisy))
    assert state.shape == velocity.shape == (5 * 198, 2)
    np.testing.assert_array_equal(state[198], noisy[1, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: derivatives.central_differences(np.ones((1, 2, 1)), dt=1), "at least 3 samples"),
        (lambda: derivatives.central_differences(np.ones((9, 1)), dt=1), "path must have shape"),
        (lambda: derivatives.central_differences(np.ones((1, 9, 1)), dt=0), "dt must be greater"),
        (
            lambda: derivatives.savitzky_golay(np.ones((1, 9, 1)), dt=1, window=4),
            "window must be odd.*got window = 4, order = 3",
        ),
        (
            lambda: derivatives.savitzky_golay(np.ones((1, 9, 1)), dt=1, window=11),
            "at most 9 samples",
        ),
        (
            lambda: derivatives.smoothing_spline(np.full((1, 9, 1), np.inf), dt=1),
            "path must be finite",
        ),
        (lambda: derivatives.smoothing_spline(np.ones((1, 9, 1)), dt=1, trim=5), "trim must leave"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

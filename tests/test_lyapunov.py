"""Lyapunov exponents and valid times against closed forms and published numbers."""

import numpy as np
import pytest

from lrnn import targets
from lrnn.lyapunov import lyapunov_exponents, valid_time
from lrnn.orbits import trajectory
from lrnn.simulate import DivergenceError

HOPF = targets.hopf(omega=2.0)


def linear(matrix):
    matrix = np.array(matrix, dtype=float)
    return (
        lambda z: z @ matrix.T,
        lambda z: np.broadcast_to(matrix, (*z.shape[:-1], *matrix.shape)),
    )


def exponents_of(target, n_trials, seed=0, **options):
    rng = np.random.default_rng(seed)
    z0 = rng.uniform(*target.domain.T, size=(n_trials, target.dimension))
    return lyapunov_exponents(target.rhs, target.jacobian, z0, **options)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_lorenz_exponents(seed, scale):
    """Published: 0.9056, 0, -14.5723 (Sprott 2003; Viswanath 1998 for the first)."""
    target = targets.affine(targets.lorenz(), offset=[0, 0, 25], scale=scale)
    # Starts near the two spiral points leave at the rate 0.094/s only, hence the long transient.
    found = exponents_of(target, 200, seed, dt=0.02, duration=20.0, transient=40.0)
    # Three standard errors: one such test in 370 fails by chance, and seeds are fixed.
    assert abs(found.exponents[0] - 0.9056) < 3 * found.standard_error[0]
    assert abs(found.exponents[1]) < 3 * found.standard_error[1]
    assert found.standard_error[0] < 0.01
    # The sum is the divergence, -(sigma + 1 + beta), everywhere. What is left is the error of a
    # step over dt, (dt |rate|)^5/120/dt: 0.001 for the mean rate 14.6, more where it is larger.
    np.testing.assert_allclose(found.trials.sum(axis=1), -(10 + 1 + 8 / 3), atol=0.004)


def test_error_of_the_sum_falls_as_the_fourth_power_of_the_step():
    exact = -(10 + 1 + 8 / 3)

    def error(dt):
        found = exponents_of(targets.lorenz(), 20, dt=dt, duration=4.0, transient=4.0)
        return np.abs(found.exponents.sum() - exact)

    # The next order is a tenth of it at dt = 0.01, and chaos samples other states.
    assert np.log2(error(0.01) / error(0.005)) == pytest.approx(4.0, abs=0.3)


def test_exponents_of_a_linear_field_are_the_real_parts_of_its_eigenvalues():
    rng = np.random.default_rng(0)
    blocks = np.zeros((4, 4))
    blocks[:2, :2] = [[-0.2, 3.0], [-3.0, -0.2]]
    blocks[2:, 2:] = np.diag([0.3, -1.0])
    P = rng.normal(size=(4, 4))
    rhs, jacobian = linear(P @ blocks @ np.linalg.inv(P))
    duration = 100.0
    found = lyapunov_exponents(
        rhs, jacobian, rng.normal(size=(3, 4)), dt=0.02, duration=duration, transient=30.0
    )
    # Oblique eigenvectors make a finite average differ by at most the logarithm of their condition
    # number over the duration; the step's error is (dt 3)^5/120/dt = 3e-7.
    atol = np.log(np.linalg.cond(P)) / duration
    assert atol < 0.05
    np.testing.assert_allclose(found.exponents, [0.3, -0.2, -0.2, -1.0], atol=atol)
    # The tangent vectors do not know where they are.
    np.testing.assert_allclose(found.standard_error, 0.0, atol=1e-12)


def test_uncoupled_axes_come_in_order():
    """Tangent vectors that begin along the axes would never find out which one grows most."""
    rhs, jacobian = linear(np.diag([-3.0, -0.5, -1.0]))
    options = {"dt": 0.01, "duration": 5.0, "transient": 30.0}
    found = lyapunov_exponents(rhs, jacobian, np.ones((2, 3)), **options)
    # RK4: (dt 3)^5/120/dt.
    np.testing.assert_allclose(found.exponents, [-0.5, -1.0, -3.0], atol=3e-8)


def test_exponents_of_a_cycle():
    """0 along the cycle and -2 across it, as the radius obeys d|z|/dt = |z| - |z|^3."""
    found = exponents_of(HOPF, 5, dt=0.01, duration=3 * HOPF.period, transient=20.0)
    # The transient has decayed to e^-40; the method's error is (dt 2)^5/120/dt.
    np.testing.assert_allclose(found.exponents, [0, -2], atol=1e-7)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_first_exponents_are_those_of_all(n):
    options = {"dt": 0.02, "duration": 4.0, "transient": 20.0}
    every = exponents_of(targets.lorenz(), 10, **options)
    some = exponents_of(targets.lorenz(), 10, **options, n=n)
    assert some.trials.shape == (10, n)
    # The first n vectors of all R and n alone span the same directions once the transient has
    # turned them: the second is turned at the rate 0.9/s, to e^-18.
    np.testing.assert_allclose(some.exponents, every.exponents[:n], atol=1e-6)


def test_how_often_vectors_are_made_orthonormal_does_not_matter():
    options = {"dt": 0.01, "duration": 2.0, "transient": 2.0}
    often, rarely = (
        exponents_of(targets.lorenz(), 4, **options, renormalise=steps) for steps in (1, 20)
    )
    # Round-off: 20 steps of 0.01 make vectors e^3.1 times longer than one another.
    np.testing.assert_allclose(often.trials, rarely.trials, atol=1e-9)


def test_mean_and_standard_error_are_those_of_the_trials():
    found = exponents_of(targets.lorenz(), 7, dt=0.02, duration=1.0, transient=1.0)
    np.testing.assert_allclose(found.exponents, found.trials.mean(axis=0))
    spread = np.sqrt(((found.trials - found.exponents) ** 2).sum(axis=0) / 6)
    np.testing.assert_allclose(found.standard_error, spread / np.sqrt(7))


def test_too_large_a_step_is_a_divergence():
    with pytest.raises(DivergenceError, match=r"try a smaller dt than 0\.5 s"):
        exponents_of(targets.lorenz(), 2, dt=0.5, duration=50.0, transient=0.0)


T_AXIS = np.linspace(1.0, 3.0, 21)  # from 1 s to 3 s in steps of 0.1 s


def growing_errors():
    """A reference of root mean square 5 about its mean, and predictions with known errors."""
    reference = np.zeros((4, 21, 2)) + 100.0
    reference[:2] += [3.0, 4.0]
    reference[2:] -= [3.0, 4.0]
    error = np.zeros((4, 21))
    error[0] = T_AXIS - 1.0
    error[1] = 2 * (T_AXIS - 1.0)
    error[2, 5] = 10.0  # and right again afterwards
    return reference, reference + error[..., None] * np.array([0.6, 0.8])


def test_valid_time_is_the_first_sample_beyond_the_threshold():
    """Errors t and 2 t pass 0.21 x 5 = 1.05 at the samples 1.1 and 0.6 s after the first."""
    found = valid_time(*growing_errors(), T_AXIS, threshold=0.21)
    np.testing.assert_allclose(found.time, [1.1, 0.6, 0.5, 2.0])
    np.testing.assert_array_equal(found.censored, [False, False, False, True])


def test_default_threshold_and_a_given_scale():
    reference, predicted = growing_errors()
    # 0.4 x 5 = 2 is reached, not exceeded, by the first at the last sample: the doubt of round-off
    # is removed by a little more.
    found = valid_time(reference, predicted - 1e-9, T_AXIS)
    assert found.censored.tolist() == [True, False, False, True]
    np.testing.assert_allclose(found.time, [2.0, 1.1, 0.5, 2.0])
    np.testing.assert_allclose(valid_time(reference, predicted, T_AXIS, scale=3.0).time[0], 1.3)


def test_valid_time_does_not_depend_on_origin_or_unit():
    reference, predicted = growing_errors()
    one = valid_time(reference, predicted, T_AXIS, threshold=0.21)
    other = valid_time(7 * reference - 3, 7 * predicted - 3, T_AXIS, threshold=0.21)
    np.testing.assert_array_equal(one.time, other.time)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_prediction_that_is_not_finite_has_failed(wrong):
    reference, predicted = growing_errors()
    predicted[3, 7:] = wrong
    found = valid_time(reference, predicted, T_AXIS)
    assert not found.censored[3]
    assert found.time[3] == pytest.approx(0.7)


def test_valid_time_in_lorenz_grows_by_one_lyapunov_time_for_each_factor_of_e():
    target, t = targets.lorenz(), np.linspace(0.0, 30.0, 601)
    rng = np.random.default_rng(0)
    start = trajectory(target.rhs, rng.normal(size=(30, 3)), [0.0, 20.0])[:, -1]
    path, near, nearer = (
        trajectory(target.rhs, start + shift, t, rtol=1e-8) for shift in (0, 1e-2, 1e-5)
    )
    gained = valid_time(path, nearer, t).time - valid_time(path, near, t).time
    # log(1000)/0.9056 = 7.6 s; growth over a finite time scatters, so three standard errors.
    error = gained.std(ddof=1) / np.sqrt(len(gained))
    assert error < 0.5
    assert abs(gained.mean() - np.log(1e3) / 0.9056) < 3 * error


OK = {"dt": 0.01, "duration": 1.0, "transient": 1.0}
ONES = np.ones((2, 2))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: exponents_of(HOPF, 1, **OK), "at least two trials, for a standard error, got 1"),
        (lambda: exponents_of(HOPF, 2, **OK, n=3), "n must be from 1 to 2, got 3"),
        (lambda: exponents_of(HOPF, 2, **OK, n=0), "n must be from 1 to 2, got 0"),
        (lambda: exponents_of(HOPF, 2, **OK, renormalise=0), "renormalise must be at least 1"),
        (lambda: exponents_of(HOPF, 2, **(OK | {"dt": 0})), "dt must be greater than 0"),
        (lambda: exponents_of(HOPF, 2, **(OK | {"duration": 0})), "duration must be greater"),
        (lambda: exponents_of(HOPF, 2, **(OK | {"transient": -1})), "transient must be at least"),
        (lambda: lyapunov_exponents(HOPF.rhs, HOPF.jacobian, [1.0, 2.0], **OK), "z0 must have"),
        (
            lambda: lyapunov_exponents(HOPF.rhs, HOPF.rhs, ONES, **OK),
            r"jacobian must map shape \(2, 2\) to \(2, 2, 2\), got \(2, 2\)",
        ),
        (lambda: valid_time(ONES, ONES, [0, 1]), r"reference must have shape \(B, T, R\)"),
        (
            lambda: valid_time(ONES[None], ONES, [0, 1]),
            r"predicted must have the shape of reference, \(1, 2, 2\), got \(2, 2\)",
        ),
        (lambda: valid_time(ONES[None], ONES[None], [0, 1, 2]), r"t must have shape \(2,\)"),
        (lambda: valid_time(ONES[None], ONES[None], [1, 0]), "two increasing times"),
        (lambda: valid_time(ONES[None], ONES[None], [0, 1]), "scale must be greater than 0"),
        (
            lambda: valid_time(ONES[None], ONES[None], [0, 1], scale=1, threshold=0),
            "threshold must be greater than 0",
        ),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()

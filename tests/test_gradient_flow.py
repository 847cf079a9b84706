"""Gradient flow against exponentials, Legendre polynomials, scipy's solver and slow descent."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import eval_legendre

from lrnn.gradient_flow import gradient_flow, legendre_step
from lrnn.simulate import DivergenceError


def bowl(seed, curvatures):
    """The gradient of a quadratic loss, and its flow from y0 in closed form."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(len(curvatures),) * 2))[0]
    y0 = rng.normal(size=len(curvatures))

    def flow(t):
        return axes @ (np.exp(-curvatures * t) * (axes.T @ y0))

    return (lambda y: axes @ (curvatures * (axes.T @ y))), y0, flow


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("tolerance", "steps"), [(1e-3, 4), (1e-5, 20)])
def test_flow_of_a_stiff_bowl_is_a_sum_of_exponentials(seed, tolerance, steps):
    gradient, y0, flow = bowl(seed, np.geomspace(1e-3, 1e3, 9))
    t = np.array([0, 1e-3, 0.1, 0.11, 30.0, 1000.0])
    path = gradient_flow(gradient, y0, t, tolerance=tolerance)
    error = np.linalg.norm(path.y - [flow(each) for each in t], axis=1)
    # Errors add up until they decay, over more steps where these are shorter; measured 1 and 6.
    assert error.max() < steps * tolerance


def test_times_between_do_not_matter_and_time_starts_anywhere():
    gradient, y0, _ = bowl(0, np.geomspace(0.1, 100, 5))
    one = gradient_flow(gradient, y0, [0.0, 5.0], tolerance=1e-6).y[-1]
    many = gradient_flow(gradient, y0, np.linspace(7.0, 12.0, 40), tolerance=1e-6).y[-1]
    np.testing.assert_allclose(many, one, atol=5e-6)  # the tolerance, as above
    np.testing.assert_array_equal(gradient_flow(gradient, y0, [3.0]).y, [y0])


@pytest.mark.parametrize("stages", [2, 3, 4, 7, 20])
def test_a_step_multiplies_by_its_legendre_polynomial(stages):
    """On dy/dt = -c y a step is 1 - b + b P_s(1 - 2 h c/bound), at most 1 up to its bound."""
    bound = (stages**2 + stages - 2) / 2
    b = bound / (stages * (stages + 1))
    for stiffness in np.linspace(0, 1.02 * bound, 30):
        c = np.array([stiffness])
        got = legendre_step(lambda y, c=c: c * y, np.ones(1), c, 1.0, stages=stages)[0]
        expected = 1 - b + b * eval_legendre(stages, 1 - 2 * stiffness / bound)
        assert got == pytest.approx(expected, abs=1e-11)  # round-off of a few hundred operations
        if stiffness <= bound:
            assert abs(got) <= 1 + 1e-12


@pytest.mark.parametrize("stages", [2, 3, 8, 25])
def test_a_step_has_order_two(stages):
    def error(h):
        y0 = np.array([1.0])
        return legendre_step(lambda y: y**3, y0, y0**3, h, stages=stages)[0] - (1 + 2 * h) ** -0.5

    # One step is off by h^3; what h^4 adds is 3 % at this size.
    assert np.log2(error(0.02) / error(0.01)) == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize("start", [(-1.2, 1.0), (2.0, 2.0)])
def test_flow_on_a_curved_valley_is_that_of_an_implicit_solver(start):
    """Rosenbrock's function, with a curvature across its valley far beyond that along it."""

    def gradient(y):
        a, b = y
        return np.array([2 * (a - 1) - 400 * a * (b - a**2), 200 * (b - a**2)])

    t = np.array([0.0, 0.01, 1.0, 10.0])
    known = solve_ivp(lambda _, y: -gradient(y), (0, 10), start, "Radau", t, rtol=1e-10, atol=1e-12)
    path = gradient_flow(gradient, np.array(start), t, tolerance=1e-6)
    np.testing.assert_allclose(
        path.y, known.y.T, atol=2e-5
    )  # twenty tolerances: thousands of steps


def test_flow_is_the_limit_of_descent_in_small_steps():
    gradient, y0, _ = bowl(1, np.geomspace(0.1, 10, 6))
    flow = gradient_flow(gradient, y0, [0.0, 1.0], tolerance=1e-8).y[-1]

    def descended(rate):
        y = y0
        for _ in range(round(1 / rate)):
            y = y - rate * gradient(y)
        return y

    errors = [np.linalg.norm(descended(rate) - flow) for rate in (0.004, 0.002)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1.0, abs=0.05)  # Euler's order


def test_a_hundred_times_the_time_costs_far_less_than_a_hundred_times_the_gradients():
    gradient, y0, _ = bowl(2, np.geomspace(1e-4, 1e3, 30))
    short, long = (gradient_flow(gradient, y0, [0, T]).evaluations for T in (10.0, 1000.0))
    assert long < 12 * short  # 10 for a square root
    assert long < 1000 * 1e3 / 2 / 40  # a fortieth of what descent at its largest rate takes


def test_a_time_that_cuts_a_step_short_does_not_shorten_the_next():
    gradient, y0, _ = bowl(3, np.geomspace(0.1, 1, 5))
    plain, cut = (
        gradient_flow(gradient, y0, times).evaluations
        for times in ([0, 10, 100], [0, 10, 10 + 1e-9, 100])
    )
    assert cut < plain + 10  # one more step


def test_curvature_that_begins_on_the_way_is_noticed():
    """A slope of 1 leads from 2 to 1, where a curvature of 1000 begins."""
    path = gradient_flow(
        lambda y: np.where(y > 1, 1.0, 1.0 + 1000 * (y - 1)), np.array([2.0]), [0.0, 1000.0]
    )
    assert path.y[-1, 0] == pytest.approx(0.999, abs=1e-3)  # the tolerance
    assert path.evaluations < 1000 * 1000 / 2 / 40


def test_a_flow_that_overshoots_into_nothing_comes_back():
    """-y - log(1 - y)/100 is nearly straight far from its barrier, and steps grow long there."""
    beyond = []

    def gradient(y):
        beyond.append(y[0] >= 1)
        return np.where(y < 1, -1 + 0.01 / np.where(y < 1, 1 - y, 1), np.nan)

    path = gradient_flow(gradient, np.array([-100.0]), [0.0, 200.0], tolerance=0.1)
    assert any(beyond)
    assert path.y[-1, 0] == pytest.approx(0.99, abs=1e-5)  # the minimum, to the square of a step
    assert path.evaluations == len(beyond)


@pytest.mark.parametrize(
    "gradient",
    [lambda y: -np.exp(y - 1), lambda y: np.where(y < 2, -1.0, np.nan)],
    ids=["blows up", "runs into the end of its loss"],
)
def test_a_flow_that_ends_says_when(gradient):
    with pytest.raises(DivergenceError, match="no solution beyond") as error:
        gradient_flow(gradient, np.array([1.0]), [0.0, 3.0], tolerance=1e-5)
    # e^(y - 1) from y = 1 blows up at t = 1, and a slope of 1 leads from 1 to 2 by then.
    # Some 25 steps, of an error of 1e-5 each, are taken until e^y is three times as large.
    assert error.value.time == pytest.approx(1.0, abs=3e-4)


def test_a_flow_stays_where_there_is_no_gradient():
    path = gradient_flow(lambda y: 0 * y, np.array([1.0, 2.0]), [0.0, 1e6])
    np.testing.assert_array_equal(path.y, [[1, 2], [1, 2]])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"y0": [np.nan]}, "y0 must be finite"),
        ({"y0": [[1.0]]}, r"y0 must have shape \(n,\)"),
        ({"y0": [-1.0]}, "gradient at y0 must be finite"),
        ({"t": [0.0, 0.0]}, "t must hold at least one time and increase"),
        ({"t": []}, "t must hold at least one time and increase"),
        ({"tolerance": 0}, "tolerance must be greater than 0, got 0"),
    ],
)
def test_bad_arguments_are_named(arguments, words):
    good = {"y0": [1.0], "t": [0.0, 1.0], "tolerance": 1e-3}
    with pytest.raises(ValueError, match=words):
        gradient_flow(lambda y: np.where(y > 0, y, np.nan), **good | arguments)

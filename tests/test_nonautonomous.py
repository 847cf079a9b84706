"""Systems that change in time against scipy's integrator, finite differences and closed forms."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from lrnn import targets
from lrnn.nonautonomous import autonomous, tracking

STARTS = {
    "inverted quadratic": (targets.inverted_quadratic(), [-5.0]),
    "cubic": (targets.cubic((-2.0, 0.0, 2.0), gain=0.5), [0.3]),
    "hopf": (targets.hopf(omega=2.0), [0.2, -0.1]),
}
RATES = (None, 0.8, -0.8, 0.0)  # None is the autonomous system
CASES = [(name, rate) for name in STARTS for rate in RATES]


def make(name, rate):
    target, z0 = STARTS[name]
    return autonomous(target, z0) if rate is None else tracking(target, z0, rate=rate)


def solved(system, z0, t):
    """The oracle; its own tolerances are a hundred times below those of the tests."""
    run = solve_ivp(
        lambda time, z: system.rhs(z, time), (t[0], t[-1]), z0, "DOP853", t, rtol=1e-11, atol=1e-12
    )
    return run.y.T


@pytest.mark.parametrize(("name", "rate"), CASES)
def test_all_systems_have_the_trajectory_of_the_target(name, rate):
    target, z0 = STARTS[name]
    t = np.linspace(0, 3, 13)
    system = make(name, rate)
    np.testing.assert_allclose(system.path(t), target.flow(np.array(z0), t), rtol=1e-14)
    np.testing.assert_allclose(system.path(t), solved(system, z0, t), atol=1e-9)
    # On the path every system moves as the target does, up to round-off.
    np.testing.assert_allclose(
        system.rhs(system.path(t), t), target.rhs(system.path(t)), atol=1e-13
    )


@pytest.mark.parametrize(("name", "rate"), CASES)
@pytest.mark.parametrize("start", [0.0, 0.7])
def test_response_is_what_integrating_the_displaced_system_gives(name, rate, start):
    system, t = make(name, rate), start + np.linspace(0, 3, 9)
    rng = np.random.default_rng(0)
    d = rng.uniform(-0.5, 0.5, size=(2, 3, len(STARTS[name][1])))
    response = system.response(d, start, t)
    assert response.shape == (2, 3, 9, d.shape[-1])
    there = system.path(np.array([start]))[0]
    for index in np.ndindex(2, 3):
        apart = solved(system, there + d[index], t) - system.path(t)
        np.testing.assert_allclose(response[index], apart, atol=1e-9)


@pytest.mark.parametrize(("name", "rate"), CASES)
def test_jacobian_is_the_derivative_of_the_right_hand_side(name, rate):
    system, rng = make(name, rate), np.random.default_rng(1)
    R = len(STARTS[name][1])
    z, t, step = rng.uniform(-1, 1, size=(4, 5, R)), rng.uniform(0, 3, size=(4, 5)), 1e-5
    columns = [
        (system.rhs(z + step * e, t) - system.rhs(z - step * e, t)) / (2 * step) for e in np.eye(R)
    ]
    # Central differences: step^2 = 1e-10 of truncation, 1e-15 * 10/step = 1e-9 of round-off.
    np.testing.assert_allclose(system.jacobian(z, t), np.stack(columns, -1), atol=1e-8)


@pytest.mark.parametrize(("name", "rate"), CASES)
def test_right_hand_side_keeps_leading_axes(name, rate):
    system, rng = make(name, rate), np.random.default_rng(2)
    z = rng.uniform(-1, 1, size=(3, 4, len(STARTS[name][1])))
    t = rng.uniform(0, 3, size=(3, 4))
    one_by_one = [[system.rhs(z[i, k], t[i, k]) for k in range(4)] for i in range(3)]
    np.testing.assert_allclose(system.rhs(z, t), one_by_one, atol=1e-13)  # round-off


@pytest.mark.parametrize("name", STARTS)
def test_the_momentary_zero_is_one_and_leads_or_lags_the_trajectory(name):
    target, _ = STARTS[name]
    t = np.linspace(0, 3, 31)
    for rate in (0.8, -0.8):
        system = make(name, rate)
        np.testing.assert_allclose(system.rhs(system.zero(t), t), 0.0, atol=1e-13)  # round-off
        ahead = np.sum((system.zero(t) - system.path(t)) * target.rhs(system.path(t)), axis=1)
        assert (np.sign(ahead) == np.sign(rate)).all()
    assert make(name, 0.0).zero is None
    assert make(name, None).zero is None


def test_displacements_decay_grow_or_stay_at_the_rate():
    t = np.linspace(0.5, 3.5, 4)
    for rate in (0.8, -0.8, 0.0):
        response = make("inverted quadratic", rate).response([0.1], 0.5, t)[:, 0]
        np.testing.assert_allclose(response, 0.1 * np.exp(-rate * np.arange(4)), rtol=1e-12)


@pytest.mark.parametrize("name", ["inverted quadratic", "cubic"])
def test_in_one_dimension_the_target_makes_a_displacement_a_shift_in_time(name):
    """To another point of the trajectory, as far as from z*(1) to z*(1.6)."""
    system, t, shift = make(name, None), 1.0 + np.linspace(0, 3, 13), 0.6
    d = np.diff(system.path(np.array([1.0, 1.0 + shift])), axis=0)[0]
    later = system.path(t + shift) - system.path(t)
    # Round-off in numbers up to 6 that a start near the unstable point amplifies at most 100-fold.
    np.testing.assert_allclose(system.response(d, 1.0, t), later, atol=1e-12)


def test_a_small_displacement_of_the_target_grows_with_its_velocity():
    """In one dimension dz*/dt solves the linearised equation, so h = v(t)/v(start)."""
    target, _ = STARTS["inverted quadratic"]
    system, t = make("inverted quadratic", None), np.linspace(0, 5, 21)
    velocity = target.rhs(system.path(t))
    response = system.response([1e-5], 0.0, t)
    # The next order is d times half the curvature of the flow in z0, here up to 2 per unit.
    np.testing.assert_allclose(response / 1e-5, velocity / velocity[0], rtol=1e-4)


def test_the_names_say_what_becomes_of_displacements():
    names = [make("hopf", rate).name for rate in RATES]
    assert names == [
        "Hopf cycle", "moving stable fixed point", "moving unstable fixed point", "no fixed point"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: autonomous(targets.lorenz(), [1, 1, 1]), "closed-form flow, Lorenz has none"),
        (lambda: tracking(targets.ring(), [1, 1], rate=1), "closed-form flow, ring attractor has"),
        (lambda: autonomous(targets.hopf(), [1.0]), r"z0 must have shape \(2,\), got \(1,\)"),
        (lambda: tracking(targets.hopf(), [1, np.nan], rate=1), "z0 must be finite, got nan"),
        (lambda: tracking(targets.hopf(), [1, 0], rate=np.inf), "rate must be finite, got inf"),
        (lambda: tracking(targets.hopf(), [1, 0], rate=[1.0]), r"rate must have shape \(,?\)"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

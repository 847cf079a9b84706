"""Target systems against finite differences, scipy's integrator and their own closed forms."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from lrnn import targets

SHIFT = {"offset": [0.3, -0.7], "scale": 2.0}
TARGETS = {
    "quadratic polynomial": targets.polynomial((-1.0, 1.0)),
    "tristable": targets.polynomial((-1.5, -0.8, 0.0, 0.8, 1.5), margin=0.3),
    "cubic": targets.cubic(),
    "cubic, symmetric": targets.cubic((-2.0, 0.0, 2.0), gain=0.3),
    "cubic with an even part": targets.cubic((-1.2, 0.2, 1.2), gain=2.0),
    "sine": targets.sine(3),
    "inverted quadratic": targets.inverted_quadratic(),
    "hopf": targets.hopf(omega=2.0),
    "radial cycle": targets.radial_cycle(),
    "ring": targets.ring(),
    "van der pol": targets.van_der_pol(mu=1.5),
    "lorenz": targets.lorenz(),
    "hopf, moved": targets.affine(targets.hopf(), **SHIFT),
    "radial cycle, moved": targets.affine(targets.radial_cycle(), **SHIFT),
    "cubic, moved": targets.affine(targets.cubic(gain=2.0), offset=[0.5], scale=2.0),
    "quadratic, moved": targets.affine(targets.inverted_quadratic(), offset=[2.0], scale=3.0),
    "lorenz, moved": targets.affine(targets.lorenz(), offset=[0, 0, 25], scale=10.0),
}


def those_with(field):
    names = [name for name, target in TARGETS.items() if getattr(target, field) is not None]
    return pytest.mark.parametrize("target", [TARGETS[name] for name in names], ids=names)


def sample(target, rng, shape):
    low, high = target.domain.T
    return rng.uniform(low, high, size=(*shape, target.dimension))


@those_with("jacobian")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_jacobian_is_the_derivative_of_the_right_hand_side(target, seed):
    z = sample(target, np.random.default_rng(seed), (4, 5))
    step = 1e-6 * np.ptp(target.domain)
    columns = [
        (target.rhs(z + step * e) - target.rhs(z - step * e)) / (2 * step)
        for e in np.eye(target.dimension)
    ]
    # Central differences: step^2 of truncation, plus round-off over step.
    scale = np.abs(target.rhs(z)).max() + np.abs(target.jacobian(z)).max()
    np.testing.assert_allclose(target.jacobian(z), np.stack(columns, -1), atol=1e-7 * scale)


@those_with("rhs")
def test_right_hand_side_keeps_leading_axes(target):
    z = sample(target, np.random.default_rng(0), (3, 4))
    one_by_one = [[target.rhs(point) for point in row] for row in z]
    np.testing.assert_allclose(target.rhs(z), one_by_one, atol=1e-12)


@those_with("rhs")
def test_fixed_points_are_roots_inside_the_domain(target):
    assert target.fixed_points.shape[1] == target.dimension
    scale = np.abs(target.rhs(target.domain.T)).max()
    np.testing.assert_allclose(target.rhs(target.fixed_points), 0.0, atol=1e-14 * scale)
    low, high = target.domain.T
    assert ((target.fixed_points >= low) & (target.fixed_points <= high)).all()


@those_with("flow")
def test_closed_form_flow_solves_the_equation(target):
    times = np.linspace(0.0, 2.0, 9)
    start = sample(target, np.random.default_rng(3), (5,))
    flow = target.flow(start, times)
    for z0, path in zip(start, flow, strict=True):
        exact = solve_ivp(
            lambda t, z: target.rhs(z), (0, 2), z0, "DOP853", times, rtol=1e-11, atol=1e-12
        )
        np.testing.assert_allclose(path, exact.y.T, rtol=1e-7, atol=1e-8)


@those_with("invariant")
def test_invariant_set_attracts(target):
    start = sample(target, np.random.default_rng(4), (6,))
    for z0 in start:
        late = solve_ivp(lambda t, z: target.rhs(z), (0, 20), z0, rtol=1e-9, atol=1e-12).y[:, -1]
        assert abs(target.invariant(late)) < 1e-6
        assert abs(target.invariant(z0)) > 1e-3


@pytest.mark.parametrize("make", [targets.hopf, targets.radial_cycle])
def test_period_closes_the_cycle_and_half_of_it_does_not(make):
    target = make(omega=3.0)
    on_cycle = np.array([1.0, 0.0])
    half, full = target.flow(on_cycle, np.array([target.period / 2, target.period]))
    np.testing.assert_allclose(full, on_cycle, atol=1e-12)
    np.testing.assert_allclose(half, -on_cycle, atol=1e-12)


@pytest.mark.parametrize(
    "name",
    [
        "tristable",
        "cubic",
        "cubic, symmetric",
        "sine",
        "hopf",
        "radial cycle",
        "ring",
        "van der pol",
    ],
)
def test_systems_called_odd_are_odd(name):
    z = sample(TARGETS[name], np.random.default_rng(5), (50,))
    np.testing.assert_allclose(TARGETS[name].rhs(-z), -TARGETS[name].rhs(z), atol=1e-12)


def test_stability_of_the_bistable_systems():
    cubic, quadratic = TARGETS["cubic with an even part"], targets.inverted_quadratic(3.0, rate=0.5)
    assert (np.sign(cubic.jacobian(cubic.fixed_points)).ravel() == [-1, 1, -1]).all()
    np.testing.assert_allclose(quadratic.jacobian(quadratic.fixed_points).ravel(), [0.5, -0.5])


def test_polynomials_are_the_products_written_out():
    z = np.linspace(-2.0, 2.0, 41)[:, None]
    # Round-off in numbers of order 10.
    same = {"rtol": 0, "atol": 1e-13}
    np.testing.assert_allclose(TARGETS["quadratic polynomial"].rhs(z), 1 - z**2, **same)
    by_hand = -z * (z**2 - 0.8**2) * (z**2 - 1.5**2)
    np.testing.assert_allclose(TARGETS["tristable"].rhs(z), by_hand, **same)
    np.testing.assert_allclose(targets.cubic(gain=3.0).rhs(z), 3 * (z - z**3), **same)


def test_domain_of_a_polynomial_reaches_margin_beyond_its_roots():
    np.testing.assert_allclose(TARGETS["tristable"].domain, [[-1.8, 1.8]])
    np.testing.assert_array_equal(targets.polynomial((-1.0, 3.0)).domain, [[-3.0, 5.0]])
    np.testing.assert_array_equal(targets.cubic().domain, [[-2.0, 2.0]])


def test_stability_of_a_polynomial_alternates_from_its_largest_root():
    tristable, pair = TARGETS["tristable"], TARGETS["quadratic polynomial"]
    slopes = tristable.jacobian(tristable.fixed_points).ravel()
    assert (np.sign(slopes) == [-1, 1, -1, 1, -1]).all()
    np.testing.assert_array_equal(pair.jacobian(pair.fixed_points).ravel(), [2, -2])


def test_sine_rests_at_the_integers_exactly():
    target = targets.sine(2)
    np.testing.assert_array_equal(target.domain, [[-2, 2]])
    np.testing.assert_array_equal(target.fixed_points.ravel(), [-2, -1, 0, 1, 2])
    np.testing.assert_array_equal(target.rhs(target.fixed_points), 0.0)
    slopes = target.jacobian(target.fixed_points).ravel()
    np.testing.assert_allclose(slopes, np.pi * np.array([1, -1, 1, -1, 1]), rtol=1e-15)
    z = np.linspace(-2, 2, 33)[:, None]
    np.testing.assert_allclose(target.rhs(z), np.sin(np.pi * z), atol=1e-15)  # round-off


def test_flow_of_the_sine_keeps_fixed_points_and_ends_on_stable_ones():
    target = targets.sine(2)
    late = target.flow(target.fixed_points, np.array([0.0, 1.0, 1e4]))[:, :, 0]
    np.testing.assert_allclose(late, np.repeat(target.fixed_points, 3, axis=1), atol=1e-15)
    wells = target.flow(np.array([[-1.9], [0.1], [0.9], [1.999]]), np.array([1e4]))
    np.testing.assert_allclose(wells.ravel(), [-1, 1, 1, 1], atol=1e-15)


def test_flow_of_the_cubic_keeps_fixed_points_and_ends_on_stable_ones():
    target = TARGETS["cubic, symmetric"]
    late = target.flow(target.fixed_points, np.array([0.0, 1.0, 1e4]))[:, :, 0]
    np.testing.assert_allclose(late, np.repeat(target.fixed_points, 3, axis=1), atol=1e-15)
    wells = target.flow(np.array([[-9.0], [-0.1], [1e-9], [2.5]]), np.array([1e4]))
    np.testing.assert_allclose(wells.ravel(), [-2, -2, 2, 2], rtol=1e-15)


def test_only_the_cubic_with_symmetric_roots_has_a_flow():
    assert targets.cubic((-1.0, 0.0, 2.0)).flow is None
    assert targets.cubic((-1.0, 0.5, 1.0)).flow is None
    assert TARGETS["cubic with an even part"].flow is None


def test_inverted_quadratic_follows_the_paper_trajectory():
    target = targets.inverted_quadratic(6.0, rate=2.0)
    times = np.linspace(0, 5, 11)
    t0 = np.arctanh(5.8 / 6)
    path = target.flow(np.array([-5.8]), times)[:, 0]
    np.testing.assert_allclose(path, 6 * np.tanh(times - t0), atol=1e-12)


def test_van_der_pol_period_for_small_mu():
    """Period 2 pi (1 + mu^2/16) + O(mu^4), a textbook expansion."""
    target = targets.van_der_pol(mu=0.1)
    crossing = lambda t, z: z[1]  # noqa: E731
    crossing.direction = -1
    path = solve_ivp(
        lambda t, z: target.rhs(z), (0, 400), [2.0, 0.0], "DOP853", events=crossing, rtol=1e-10
    )
    period = np.diff(path.t_events[0])[-1]
    assert period == pytest.approx(2 * np.pi * (1 + 0.1**2 / 16), abs=1e-4)


def test_grid_covers_the_domain():
    points = targets.grid(targets.van_der_pol(), 7)
    assert points.shape == (49, 2)
    np.testing.assert_array_equal(points.min(axis=0), [-2.5, -3.5])
    np.testing.assert_array_equal(points.max(axis=0), [2.5, 3.5])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: targets.cubic((1.0, 0.0, 2.0)), "roots must increase"),
        (lambda: targets.cubic((1.0, 2.0)), r"roots must have shape \(3,\), got \(2,\)"),
        (lambda: targets.polynomial((0.0, 0.0)), r"roots must increase .* got \[0.0, 0.0\]"),
        (lambda: targets.polynomial((1.0,)), r"at least two, got \[1.0\]"),
        (lambda: targets.polynomial(((0, 1), (2, 3))), r"roots must have shape \(K,\)"),
        (lambda: targets.polynomial((0, 1), gain=-1), "gain must be greater than 0, got -1"),
        (lambda: targets.polynomial((0, 1), margin=0), "margin must be greater than 0, got 0"),
        (lambda: targets.sine(0), "half_width must be a whole number of at least 1, got 0"),
        (lambda: targets.sine(1.5), "half_width must be a whole number of at least 1, got 1.5"),
        (lambda: targets.cubic(gain=0.0), "gain must be greater than 0"),
        (lambda: targets.inverted_quadratic(-1.0), "edge must be greater than 0, got -1.0"),
        (lambda: targets.hopf(omega=np.nan), "omega must be finite"),
        (lambda: targets.lorenz(rho=0.5), "rho must be greater than 1"),
        (lambda: targets.affine(targets.hopf(), offset=[1.0]), r"shape \(2,\), got \(1,\)"),
        (lambda: targets.affine(targets.hopf(), offset=[1, 1], scale=-2), "scale must be"),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()

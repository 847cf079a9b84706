"""Trajectories and limit cycles against closed forms, published periods and Liouville's theorem."""

import numpy as np
import pytest

from lrnn import targets
from lrnn.network import LowRankRNN, latent_jacobian, latent_velocity
from lrnn.orbits import NoCycleError, limit_cycle, trajectory, variational
from lrnn.simulate import DivergenceError

START = np.array([0.3, 0.1])


def linear(matrix):
    matrix = np.array(matrix, dtype=float)
    return (
        lambda z: z @ matrix.T,
        lambda z: np.broadcast_to(matrix, (*z.shape[:-1], *matrix.shape)),
    )


def cycle_of(target, z0=START, **options):
    return limit_cycle(target.rhs, target.jacobian, z0, **options)


def period_doubled():
    """The cycle of `hopf`, carrying a vector that turns by half a turn in one turn of the cycle.

    That vector shrinks unless its length is 1/10: what looks nearly closed after one turn closes
    after two.
    """
    hopf = targets.hopf(omega=2.0)
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])

    def rhs(z):
        slow = z[..., 2:]
        excess = 1.0 - 100.0 * np.sum(slow**2, axis=-1, keepdims=True)
        return np.concatenate([hopf.rhs(z[..., :2]), excess * slow + slow @ turn.T], axis=-1)

    def jacobian(z):
        slow, out = z[..., 2:], np.zeros((*z.shape[:-1], 4, 4))
        out[..., :2, :2] = hopf.jacobian(z[..., :2])
        excess = 1.0 - 100.0 * np.sum(slow**2, axis=-1)
        outer = slow[..., :, None] * slow[..., None, :]
        out[..., 2:, 2:] = excess[..., None, None] * np.eye(2) - 200.0 * outer + turn
        return out

    return rhs, jacobian


@pytest.mark.parametrize(
    "target", [targets.hopf(omega=2.0), targets.radial_cycle(), targets.inverted_quadratic()]
)
def test_trajectory_is_the_closed_form_flow(target):
    rng = np.random.default_rng(0)
    z0 = target.fixed_points.mean(axis=0) if target.dimension == 1 else np.zeros(2)
    z0 = z0 + rng.uniform(0.2, 1.0, size=(4, target.dimension))
    t = np.linspace(0.5, 3.5, 13)
    # The tolerance of a step, 1e-9, times the few dozen steps.
    path = trajectory(target.rhs, z0, t)
    assert path.shape == (4, 13, target.dimension)
    np.testing.assert_allclose(path, target.flow(z0, t - t[0]), rtol=3e-8, atol=3e-8)


def test_trajectory_obeys_its_tolerance():
    target, t = targets.hopf(), np.array([0.0, 5.0])

    def error(rtol):
        path = trajectory(target.rhs, START[None], t, rtol=rtol, atol=1e-2 * rtol)
        return np.abs(path[:, -1] - target.flow(START, t)[-1]).max()

    assert error(1e-3) > 100 * error(1e-9)
    assert error(1e-12) < 1e-10


def test_trajectory_serves_a_network():
    net = LowRankRNN([[1.0], [1.0]], [[1.0], [1.0]], phi="linear", tau=0.5)
    path = trajectory(lambda kappa: latent_velocity(net, kappa), [[1.0], [-2.0]], [0.0, 1.0])
    # dkappa/dt = (-kappa + 2 kappa)/tau; error as above.
    np.testing.assert_allclose(path[:, 1], np.exp(2.0) * path[:, 0], rtol=3e-8)


def test_trajectory_that_escapes_names_the_time():
    """dz/dt = 1 - z^2 from -2 blows up at arctanh(1/2)."""
    target = targets.polynomial((-1.0, 1.0))
    with pytest.raises(DivergenceError) as caught:
        trajectory(target.rhs, [[-2.0]], [0.0, 5.0])
    assert caught.value.time == pytest.approx(np.arctanh(0.5), rel=1e-3)


def test_tangent_vectors_are_differences_of_neighbouring_solutions():
    target = targets.van_der_pol()
    field = variational(target.rhs, target.jacobian, START[None])
    start = np.concatenate([START, np.eye(2).ravel()])[None]
    t = np.array([0.0, 4.0])
    tangent = trajectory(field, start, t, rtol=1e-11)[0, -1, 2:].reshape(2, 2)
    step = 1e-5 * np.eye(2)
    ahead, behind = (
        trajectory(target.rhs, START + sign * step, t, rtol=1e-12, atol=1e-14)[:, -1]
        for sign in (1, -1)
    )
    # Central differences: step^2 of truncation, plus the integrator's error over step.
    np.testing.assert_allclose(tangent, (ahead - behind).T / 2e-5, atol=1e-6)


@pytest.mark.parametrize("make", [targets.hopf, targets.radial_cycle])
@pytest.mark.parametrize("omega", [1.0, 3.0])
def test_cycles_on_the_unit_circle_have_their_closed_form(make, omega):
    """In polar coordinates the radius decouples: d|z|/dt = f(|z|), with the cycle at |z| = 1.

    Perturbations of the radius decay at the rate f'(1), which is 1 - 3 = -2 for f = r - r^3 and
    -2 for f = 1 - r^2; those of the angle stay. Over 2 pi/omega the multipliers are thus 1 and
    exp(-4 pi/omega), for both.
    """
    cycle = cycle_of(make(omega=omega), transient=10.0, n_points=64)
    # Newton's last residual is its first squared; what remains is the integrator, at 1e-11 a step.
    assert cycle.period == pytest.approx(2 * np.pi / omega, abs=1e-9)
    np.testing.assert_allclose(cycle.multipliers, [1, np.exp(-4 * np.pi / omega)], atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(cycle.path, axis=1), 1.0, atol=1e-9)
    assert cycle.residual < 1e-9
    assert cycle.stable
    # With 64 points, a multiple of 4, no sample is further from an extremum than half a spacing.
    np.testing.assert_allclose(cycle.amplitude, 1.0, atol=(np.pi / 64) ** 2 / 2)
    quarter, start = cycle.path[16], cycle.point
    np.testing.assert_allclose(quarter, [-start[1], start[0]], atol=1e-9)


@pytest.mark.parametrize("mu", [0.5, 1.0, 2.0])
def test_van_der_pol_obeys_liouville(mu):
    """The multipliers' product is exp of the integral of the divergence along the cycle."""
    target = targets.van_der_pol(mu)
    cycle = cycle_of(target, transient=40.0, n_points=400)
    divergence = np.trace(target.jacobian(cycle.path), axis1=1, axis2=2)
    # The mean over equidistant points of a smooth periodic function converges faster than any
    # power, so the tolerance is that of the integrator.
    product = np.exp(cycle.period * divergence.mean())
    assert np.prod(cycle.multipliers) == pytest.approx(product, abs=1e-9)
    assert cycle.multipliers[0] == pytest.approx(1, abs=1e-9)
    if mu == 1.0:
        # Published to 20 digits: Hairer, Norsett & Wanner; again in Amore, arXiv:2111.12198.
        assert cycle.period == pytest.approx(6.6632868593231, abs=1e-9)


def test_newton_reaches_a_weakly_attracting_cycle_that_the_orbit_has_not():
    """At mu = 0.01 a turn closes 6 % of the distance; the start is far off after the transient."""
    cycle = cycle_of(targets.van_der_pol(0.01), [1.5, 0.0], transient=50.0)
    # Averaging: period 2 pi (1 + mu^2/16), multiplier exp(-2 pi mu), amplitude 2, up to O(mu^3).
    assert cycle.period == pytest.approx(2 * np.pi * (1 + 0.01**2 / 16), abs=1e-6)
    assert cycle.multipliers[1] == pytest.approx(np.exp(-0.02 * np.pi), abs=1e-5)
    assert cycle.residual < 1e-9


def test_an_orbit_still_on_its_way_is_followed_to_where_it_closes():
    """After 1 s it is halfway out, from where Newton's method would go astray."""
    target = targets.van_der_pol(0.1)
    early = cycle_of(target, [1.0, 0.0], transient=1.0, longest=60.0, near=0.02)
    settled = cycle_of(target, [1.0, 0.0], transient=100.0)
    assert early.period == pytest.approx(settled.period, abs=1e-9)
    # 2 pi (1 + mu^2/16) + O(mu^4).
    assert early.period == pytest.approx(2 * np.pi * (1 + 0.1**2 / 16), abs=1e-4)


def test_the_period_is_the_smallest():
    """A perturbation that turns over in each turn is back after two, but the cycle after one.

    Beside `hopf` at 2 rad/s, a vector turns at 1 rad/s and shrinks at 0.1/s: in a turn of pi
    seconds it is multiplied by -exp(-pi/10), twice.
    """
    fast = targets.hopf(omega=2.0)
    slow_rhs, slow_jacobian = linear([[-0.1, -1.0], [1.0, -0.1]])

    def rhs(z):
        return np.concatenate([fast.rhs(z[..., :2]), slow_rhs(z[..., 2:])], axis=-1)

    def jacobian(z):
        out = np.zeros((*z.shape[:-1], 4, 4))
        out[..., :2, :2] = fast.jacobian(z[..., :2])
        out[..., 2:, 2:] = slow_jacobian(z[..., 2:])
        return out

    cycle = limit_cycle(rhs, jacobian, np.array([1.0, 0.0, 1.0, 0.0]), transient=2.0, longest=50.0)
    assert cycle.period == pytest.approx(np.pi, abs=1e-9)
    flipped = -np.exp(-np.pi / 10)
    np.testing.assert_allclose(
        cycle.multipliers, [1, flipped, flipped, np.exp(-2 * np.pi)], atol=1e-9
    )


def test_a_cycle_that_nearly_closes_after_one_turn_closes_after_two():
    """Multipliers are 1 twice, as both angles are free, and exp(-4 pi) for both radii."""
    rhs, jacobian = period_doubled()
    cycle = limit_cycle(rhs, jacobian, np.array([0.5, 0.0, 0.05, 0.0]), transient=20.0)
    assert cycle.period == pytest.approx(2 * np.pi, abs=1e-8)
    np.testing.assert_allclose(cycle.multipliers[:2], 1.0, atol=1e-8)
    np.testing.assert_allclose(cycle.multipliers[2:], np.exp(-4 * np.pi), atol=1e-8)
    np.testing.assert_allclose(cycle.amplitude[2:], 0.1, rtol=1e-3)


def test_an_unstable_cycle_is_reported_as_such():
    """`hopf` drives a third direction that runs away: dz3/dt = z3 + z1 has multiplier e^T."""
    hopf = targets.hopf(omega=4.0)

    def rhs(z):
        return np.concatenate([hopf.rhs(z[..., :2]), z[..., 2:] + z[..., :1]], axis=-1)

    def jacobian(z):
        out = np.zeros((*z.shape[:-1], 3, 3))
        out[..., :2, :2] = hopf.jacobian(z[..., :2])
        out[..., 2, 0] = out[..., 2, 2] = 1.0
        return out

    # On the cycle z3 = (omega z2 - z1)/(1 + omega^2); the start is close to it.
    start = np.array([1.0, 0.0, -1.0 / 17.0 + 1e-4])
    cycle = limit_cycle(rhs, jacobian, start, transient=1.0, longest=3.0)
    assert not cycle.stable
    grown = np.exp(np.pi / 2)
    np.testing.assert_allclose(cycle.multipliers, [1, grown, np.exp(-np.pi)], atol=1e-8 * grown**2)
    np.testing.assert_allclose(
        cycle.path[:, 2], (4 * cycle.path[:, 1] - cycle.path[:, 0]) / 17, atol=1e-8
    )


def test_multipliers_do_not_depend_on_coordinates_or_on_the_start():
    target = targets.van_der_pol()
    moved = targets.affine(target, offset=[0.3, -0.7], scale=2.0)
    one = cycle_of(target, transient=40.0)
    other = cycle_of(moved, [0.5, 0.9], transient=43.0)
    assert one.period == pytest.approx(other.period, abs=1e-9)
    np.testing.assert_allclose(one.multipliers, other.multipliers, atol=1e-9)
    np.testing.assert_allclose(one.amplitude, 2 * other.amplitude, rtol=1e-3)  # 200 samples


def test_cycle_of_a_network():
    """Every step of the shooting is exact for a network too: the residual is the integrator's."""
    rng = np.random.default_rng(0)
    N, turn = 400, np.array([[1.8, -1.0], [1.0, 1.8]])
    m = rng.normal(size=(N, 2))
    net = LowRankRNN(m, m @ turn.T / N, tau=0.1)
    cycle = limit_cycle(
        lambda kappa: latent_velocity(net, kappa),
        lambda kappa: latent_jacobian(net, kappa),
        START,
        transient=5.0,
    )
    trace = np.trace(latent_jacobian(net, cycle.path), axis1=1, axis2=2)
    assert cycle.residual < 1e-9
    assert cycle.stable
    assert np.prod(cycle.multipliers) == pytest.approx(
        np.exp(cycle.period * trace.mean()), abs=1e-9
    )


@pytest.mark.parametrize(
    ("target", "start", "options", "words"),
    [
        (targets.ring(), START, {"transient": 30.0}, r"rests? at \[0.948683 0.316228\]"),
        (targets.cubic(), [0.3], {"transient": 30.0}, r"comes to rest at \[1.\]"),
        (targets.cubic(), [0.3], {"transient": 3.0, "longest": 30.0}, r"comes to rest at \[1.\]"),
        (targets.cubic(), [0.3], {"transient": 3.0}, "does not return within 3 s .* longer trans"),
        (targets.hopf(), [0.0, 0.0], {"transient": 5.0}, r"comes to rest at \[0. 0.\]"),
        (targets.van_der_pol(), [0.01, 0.0], {"transient": 8.0}, "at best to 0.4"),
    ],
)
def test_no_cycle_says_what_there_is_instead(target, start, options, words):
    with pytest.raises(NoCycleError, match=words):
        cycle_of(target, start, **options)
    assert issubclass(NoCycleError, ArithmeticError)


@pytest.mark.parametrize("growth", [-0.01, 0.01])
def test_a_focus_is_no_cycle(growth):
    """The spiral's returns are near, but nothing closes except the fixed point."""
    rhs, jacobian = linear([[growth, -1.0], [1.0, growth]])
    with pytest.raises(NoCycleError, match="led to the fixed point"):
        limit_cycle(rhs, jacobian, START, transient=10.0, near=0.1)


def test_a_centre_is_a_cycle_of_a_family():
    rhs, jacobian = linear([[0.0, -4.0], [1.0, 0.0]])
    cycle = limit_cycle(rhs, jacobian, START, transient=5.0)
    assert cycle.period == pytest.approx(np.pi, abs=1e-9)
    np.testing.assert_allclose(cycle.multipliers, 1.0, atol=1e-8)
    # The family is not left for another of its cycles: z1^2 + 4 z2^2 is conserved.
    energy = cycle.path[:, 0] ** 2 + 4 * cycle.path[:, 1] ** 2
    np.testing.assert_allclose(energy, 0.3**2 + 4 * 0.1**2, rtol=1e-7)


def test_an_orbit_that_escapes_is_a_divergence():
    with pytest.raises(DivergenceError):
        cycle_of(targets.inverted_quadratic(), [-7.0], transient=30.0)
    slow = targets.affine(targets.inverted_quadratic(), offset=[0.0], scale=1.0)
    with pytest.raises(DivergenceError, match="from the end of the transient"):
        cycle_of(slow, [-6.01], transient=1.0, longest=30.0)


HOPF = targets.hopf()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: trajectory(HOPF.rhs, [0.0, 1.0], [0, 1]), r"z0 must have shape \(B, R\)"),
        (lambda: trajectory(HOPF.rhs, [[0.0, 1.0]], [1, 0]), "two increasing times"),
        (lambda: trajectory(HOPF.rhs, [[0.0, 1.0]], [0, 1], rtol=0), "rtol must be greater"),
        (
            lambda: trajectory(lambda z: z[..., :1], [[0.0, 1.0]], [0, 1]),
            r"rhs must map shape \(1, 2\) to \(1, 2\), got \(1, 1\)",
        ),
        (
            lambda: limit_cycle(HOPF.rhs, HOPF.rhs, START, transient=1.0),
            r"jacobian must map shape \(1, 2\) to \(1, 2, 2\), got \(1, 2\)",
        ),
        (lambda: cycle_of(HOPF, [START], transient=1.0), r"z0 must have shape \(R,\)"),
        (lambda: cycle_of(HOPF, transient=0), "transient must be greater than 0, got 0"),
        (lambda: cycle_of(HOPF, transient=1, longest=-1), "longest must be greater than 0"),
        (lambda: cycle_of(HOPF, transient=1, near=0), "near must be greater than 0"),
        (lambda: cycle_of(HOPF, transient=1, tol=np.nan), "tol must be finite"),
        (lambda: cycle_of(HOPF, transient=1, atol=-1), "atol must be greater than 0"),
        (lambda: cycle_of(HOPF, transient=1, n_points=0), "n_points must be at least 1, got 0"),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()

"""Bases: the formula, the laws that random ones follow, and what a grid leaves out."""

import numpy as np
import pytest
from scipy.stats import kstest

from lrnn.basis import (
    Basis,
    argument,
    evaluate,
    gaussian_basis,
    grid_basis,
    is_odd,
    moving_basis,
    tuned_basis,
    uniform_basis,
)
from lrnn.nonlinearity import NONLINEARITIES


@pytest.mark.parametrize("phi", NONLINEARITIES)
def test_evaluate_is_the_formula_neuron_by_neuron(phi):
    rng = np.random.default_rng(0)
    basis = gaussian_basis(6, 2, input_std=(1.0, 0.5), phi=phi, rng=rng)
    kappa, v = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))
    values = evaluate(basis, kappa, v)
    for p, i in np.ndindex(5, 6):
        inside = basis.m[i] @ kappa[p] + basis.w_in[i] @ v[p] + basis.bias[i]
        # One sum of five terms in another order.
        assert values[p, i] == pytest.approx(NONLINEARITIES[phi].function(inside), rel=1e-13)
    np.testing.assert_array_equal(basis.phi.function(argument(basis, kappa, v)), values)


def test_a_part_of_a_basis_is_those_functions():
    rng = np.random.default_rng(1)
    basis = gaussian_basis(10, 3, input_std=(1.0,), rng=rng)
    kappa, v = rng.normal(size=(4, 3)), rng.normal(size=(4, 1))
    for index in (slice(2, 7), [9, 0, 4], np.arange(10) % 2 == 0):
        part = basis[index]
        assert len(part) == len(np.arange(10)[index])
        # A product of fewer columns may be summed in another order.
        np.testing.assert_allclose(
            evaluate(part, kappa, v), evaluate(basis, kappa, v)[:, index], rtol=1e-13
        )


def test_random_laws_have_the_stated_moments():
    N, rng = 200_000, np.random.default_rng(2)
    five_sigma = 5 / np.sqrt(2 * N)  # of a standard deviation estimated from N normal samples
    gaussian = gaussian_basis(N, 2, m_std=0.7, bias_std=2.0, input_std=(3.0,), rng=rng)
    np.testing.assert_allclose(gaussian.m.std(axis=0), 0.7, rtol=five_sigma)
    np.testing.assert_allclose(gaussian.bias.std(), 2.0, rtol=five_sigma)
    np.testing.assert_allclose(gaussian.w_in.std(), 3.0, rtol=five_sigma)
    uniform = uniform_basis(N, 1, m_max=4.0, bias_max=9.0, rng=rng)
    for values, reach in ((uniform.m, 4.0), (uniform.bias, 9.0)):
        np.testing.assert_allclose(values.std(), reach / np.sqrt(3), rtol=five_sigma)
        assert np.abs(values).max() <= reach


def test_tuned_functions_have_their_centre_in_the_domain():
    domain = np.array([[-1.0, 2.0], [0.0, 0.5]])
    basis = tuned_basis(500, domain, m_std=2.0, rng=np.random.default_rng(3))
    corners = np.array([[x, y] for x in domain[0] for y in domain[1]])
    inside = argument(basis, corners)
    # A plane that meets a box has corners on both sides of it.
    assert (inside.min(axis=0) <= 0).all()
    assert (inside.max(axis=0) >= 0).all()
    assert np.std(basis.m) == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize(("domain", "D"), [([[-1, 2]], 1), ([[-1, 2], [0, 0.5]], 3)])
def test_moving_functions_pass_a_centre_in_the_domain_at_one_of_the_moments(domain, D):
    t, domain = np.array([0.0, 0.3, 0.4, 1.2]), np.array(domain, dtype=float)
    v = np.random.default_rng(4).normal(size=(4, D))
    basis = moving_basis(500, domain, t, v, m_std=2.0, rng=np.random.default_rng(5))
    corners = np.stack(np.meshgrid(*domain), axis=-1).reshape(-1, len(domain))
    inside = np.stack([argument(basis, corners, np.tile(now, (len(corners), 1))) for now in v])
    # A plane that meets a box has corners on both sides of it.
    meets = (inside.min(axis=1) <= 0) & (inside.max(axis=1) >= 0)
    assert meets.any(axis=0).all()
    assert not meets.all(axis=0).all()  # a test that could fail
    assert np.std(basis.m) == pytest.approx(2.0, rel=0.15)  # 5 sigma of 500 numbers


def crossings(t, v, seed, **choices):
    """A basis whose centres are all 0.3, and the time and speed at which each passes there.

    Interpolates v, which falls, at w_in v(s) = -bias - 0.3 m.
    """
    place = 0.3 + 1e-9 * np.array([[-1.0, 1.0]])
    basis = moving_basis(4000, place, t, v, rng=np.random.default_rng(seed), **choices)
    level = -(basis.bias + 0.3 * basis.m[:, 0]) / basis.w_in[:, 0]
    moment = np.interp(-level, -v[:, 0], t)
    slope = np.interp(moment, t, np.gradient(v[:, 0], t))
    return basis, moment, basis.w_in[:, 0] * slope


@pytest.mark.parametrize("seed", range(3))
def test_moments_are_drawn_among_the_times_alike_and_speeds_from_their_law(seed):
    t = np.array([0.0, 0.1, 0.3, 0.6, 1.0, 1.5, 2.1, 2.8])
    _, moment, speed = crossings(t, np.exp(-t)[:, None], seed, m_std=0.5, speed_std=1.5)
    which = np.argmin(np.abs(moment[:, None] - t), axis=1)
    # The centres' 1e-9 times m over the smallest speeds among 4000, some 1e-3.
    np.testing.assert_allclose(moment, t[which], atol=1e-4)
    counts = np.bincount(which, minlength=8)
    np.testing.assert_allclose(counts, 500, atol=5 * np.sqrt(4000 * 7 / 64))  # five sigma
    assert kstest(speed / 1.5, "norm").pvalue > 1e-5  # once in 1e5


@pytest.mark.parametrize("seed", range(3))
def test_where_the_input_fades_weights_are_log_uniform(seed):
    """v = e^{-t}: log|w_in| = s + log|speed| at moments s, as many late ones that move as early."""
    t = np.linspace(0, 10, 401)
    basis, moment, speed = crossings(t, np.exp(-t)[:, None], seed, speed_std=0.7)
    weight = np.log(np.abs(basis.w_in[:, 0]))
    # Differences over 2 * 0.025 are good to 0.025^2/6, over one interval at the ends to 0.013.
    np.testing.assert_allclose(weight - np.log(np.abs(speed)), moment, atol=0.015)
    assert kstest(moment / 10, "uniform").pvalue > 1e-5
    # log|speed| of a normal law has variance pi^2/8 and the moments 10^2/12, of 4000 draws.
    assert weight.var() == pytest.approx(100 / 12 + np.pi**2 / 8, rel=5 * np.sqrt(1 / 4000))
    early, late = np.abs(speed[moment < 2]), np.abs(speed[moment > 8])
    # Medians of some 800 numbers each, good to 5 %.
    assert np.median(late) == pytest.approx(np.median(early), rel=0.3)


def test_only_moments_and_channels_that_move_are_used():
    """v moves in its first channel only, and only between 1 and 2: there functions have centres."""
    t = np.linspace(0, 3, 31)
    v = np.stack([np.clip(t, 1, 2), np.full(31, 5.0)], axis=1)
    basis = moving_basis(2000, [[-1e-9, 1e-9]], t, v, speed_std=2.0, rng=np.random.default_rng(6))
    np.testing.assert_array_equal(basis.w_in[:, 1], 0.0)
    level = -basis.bias / basis.w_in[:, 0]
    assert (np.abs(np.clip(level, 1, 2) - level) < 1e-3).all()
    assert len(np.unique(level.round(2))) == 11  # 1.0, 1.1, ... 2.0
    inner = (level > 1.05) & (level < 1.95)  # at the edges differences see half the slope
    assert basis.w_in[inner, 0].std() == pytest.approx(2.0, rel=5 / np.sqrt(2 * inner.sum()))


def test_channels_share_the_speed_and_each_is_scaled_by_its_own():
    """v = (t, 10 t, 0.1 t): parts of the offset of one law each, three together of speed_std."""
    t = np.linspace(0, 1, 11)
    rates = np.array([1.0, 10.0, 0.1])
    basis = moving_basis(
        4000, [[-1, 1]], t, t[:, None] * rates, speed_std=3.0, rng=np.random.default_rng(8)
    )
    parts = basis.w_in * rates
    five_sigma = 5 / np.sqrt(2 * 4000)
    np.testing.assert_allclose(parts.std(axis=0), 3 / np.sqrt(3), rtol=five_sigma)
    assert parts.sum(axis=1).std() == pytest.approx(3.0, rel=five_sigma)


def test_a_pause_of_the_input_does_not_make_large_weights():
    """Of 21 samples of a sine two have differences of 1e-16; at turns the speed around counts."""
    t = 2 * np.pi * np.arange(21) / 20
    basis = moving_basis(300, [[-1, 1]], t, np.sin(t)[:, None], rng=np.random.default_rng(7))
    # The speed is 1 at both ends and in the middle, so between them the lesser maximum is near 1
    # (0.98 by differences), and 300 normal numbers are below 4.5.
    assert np.abs(basis.w_in).max() < 4.5 / 0.98


@pytest.mark.parametrize(("rank", "n_per_axis"), [(1, 5), (1, 6), (2, 5), (3, 4)])
@pytest.mark.parametrize("phi", ["tanh", "relu"])
def test_a_grid_holds_every_function_once_and_no_constant(rank, n_per_axis, phi):
    basis = grid_basis(n_per_axis, rank, m_max=2.0, bias_max=3.0, phi=phi)
    table = np.column_stack([basis.m, basis.bias])
    assert (basis.m != 0).any(axis=1).all()
    assert len(np.unique(table, axis=0)) == len(table)
    constants = n_per_axis % 2  # an odd number of slopes has one that is zero
    total = (n_per_axis**rank - constants) * n_per_axis
    if phi == "relu":
        assert len(table) == total
    else:
        assert len(table) == total / 2
        both = np.vstack([table, -table])
        assert len(np.unique(both, axis=0)) == total


def test_odd_functions_are_told_from_others():
    odd = {name for name, phi in NONLINEARITIES.items() if is_odd(phi)}
    assert odd == {"tanh", "erf", "linear"}


def moving(t=(0, 1), v=((1.0,), (2.0,)), domain=((0, 1),), **choices):
    return moving_basis(3, domain, t, v, rng=np.random.default_rng(0), **choices)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Basis(np.ones((3, 1)), np.ones(4)), r"bias must have shape \(3,\), got \(4,\)"),
        (lambda: Basis(np.ones(3)), r"m must have shape \(N, R\)"),
        (lambda: Basis(np.ones((0, 1))), "at least one neuron"),
        (lambda: Basis(np.full((2, 1), np.nan)), "m must be finite, got nan"),
        (lambda: Basis(np.ones((2, 1)), phi="cosh"), "phi must be one of"),
        (lambda: grid_basis(1), "n_per_axis must be at least 2, got 1"),
        (lambda: gaussian_basis(0, 1, rng=None), "n_neurons must be a whole number of at least 1"),
        (
            lambda: gaussian_basis(2, 1, m_std=-1, rng=np.random.default_rng(0)),
            "m_std must be greater than 0, got -1",
        ),
        (lambda: tuned_basis(2, [[1.0, 0.0]], rng=None), "domain must have low < high"),
        (lambda: moving([0, 1], [[2.0], [2.0]]), "v must move: it is the same at all times"),
        (lambda: moving([1, 0], [[1.0], [2.0]]), "two increasing times"),
        (lambda: moving([0], [[1.0]]), "two increasing times"),
        (lambda: moving([0, 1, 2], [[1.0], [2.0]]), r"v must have shape \(3, D\), got \(2, 1\)"),
        (lambda: moving([0, 1], [1.0, 2.0]), r"v must have shape \(2, D\)"),
        (lambda: moving([0, 1], [[1.0], [np.inf]]), "v must be finite, got inf"),
        (lambda: moving(domain=[[1, 0]]), "domain must have low < high"),
        (lambda: moving(m_std=0), "m_std must be greater than 0, got 0"),
        (lambda: moving(speed_std=-1), "speed_std must be greater than 0, got -1"),
        (
            lambda: evaluate(Basis(np.ones((2, 1)), w_in=np.ones((2, 1))), np.ones((4, 1))),
            "v must be given: the basis has 1 input channels",
        ),
        (lambda: evaluate(Basis(np.ones((2, 1))), np.ones((4, 2))), r"kappa must have shape"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_fields_cannot_be_changed():
    basis = Basis(np.ones((3, 1)))
    with pytest.raises(ValueError, match="read-only"):
        basis.m[0] = 2

"""Bases: the formula, the laws that random ones follow, and what a grid leaves out."""

import numpy as np
import pytest

from lrnn.basis import (
    Basis,
    argument,
    evaluate,
    gaussian_basis,
    grid_basis,
    is_odd,
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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Basis(np.ones((3, 1)), np.ones(4)), r"bias must have shape \(3,\), got \(4,\)"),
        (lambda: Basis(np.ones(3)), r"m must have shape \(N, R\)"),
        (lambda: Basis(np.ones((0, 1))), "at least one neuron"),
        (lambda: Basis(np.full((2, 1), np.nan)), "m must be finite, got nan"),
        (lambda: Basis(np.ones((2, 1)), phi="cosh"), "phi must be one of"),
        (lambda: grid_basis(1), "n_per_axis must be at least 2, got 1"),
        (lambda: gaussian_basis(0, 1, rng=None), "n_neurons must be an integer of at least 1"),
        (
            lambda: gaussian_basis(2, 1, m_std=-1, rng=np.random.default_rng(0)),
            "m_std must be greater than 0, got -1",
        ),
        (lambda: tuned_basis(2, [[1.0, 0.0]], rng=None), "domain must have low < high"),
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

"""The best subset against fitting each subset by itself."""

from itertools import combinations

import numpy as np
import pytest

from lrnn import enumeration as module
from lrnn.basis import Basis, evaluate, uniform_basis
from lrnn.enumeration import exhaustive
from lrnn.pursuit import pursue
from lrnn.regression import ridge_solve
from lrnn.targets import cubic, grid, van_der_pol

TARGETS = {1: cubic((-1.2, 0.2, 1.2)), 2: van_der_pol()}


def case(R, n_atoms, seed=0):
    """A random dictionary, a target and points on a grid."""
    target = TARGETS[R]
    rng = np.random.default_rng(seed)
    dictionary = uniform_basis(n_atoms, R, m_max=3.0, bias_max=6.0, rng=rng)
    return dictionary, target.rhs, grid(target, {1: 60, 2: 12}[R])


@pytest.mark.parametrize("block", [module.BLOCK, 1000])  # one part, and many
@pytest.mark.parametrize("ridge", [0.0, 1e-5, 1e-2])
@pytest.mark.parametrize("R", [1, 2])
def test_the_best_of_all_triples_is_found(R, ridge, block, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", block)
    dictionary, rhs, kappa = case(R, n_atoms=12, seed=7)
    tau = 0.5
    best = exhaustive(dictionary, rhs, kappa, 3, tau=tau, ridge=ridge)
    rates, target = evaluate(dictionary, kappa), kappa + tau * rhs(kappa)
    fits = {}
    for subset in combinations(range(12), 3):
        n = ridge_solve(rates[:, subset], target, ridge=ridge).n
        mse = np.mean(np.sum((target - rates[:, subset] @ n) ** 2, axis=1))
        fits[subset] = mse + ridge * np.sum(np.var(target, axis=0)) * np.sum(n**2), mse, n
    assert tuple(best.support) == min(fits, key=lambda subset: fits[subset][0])
    # The same computation on the same numbers but for the order of sums.
    objective, mse, n = fits[tuple(best.support)]
    assert best.objective == pytest.approx(objective, rel=1e-12)
    assert best.mse == pytest.approx(mse, rel=1e-12)
    assert best.nmse == pytest.approx(mse / np.sum(np.var(tau * rhs(kappa), axis=0)), rel=1e-12)
    np.testing.assert_allclose(best.n, n, rtol=1e-12)
    greedy = pursue(dictionary, rhs, kappa, 3, tau=tau, ridge=ridge)
    assert best.objective <= greedy.objective[3] * (1 + 1e-12)


def test_one_atom_is_greedy_and_optimal_at_once():
    dictionary, rhs, kappa = case(1, n_atoms=50, seed=8)
    best = exhaustive(dictionary, rhs, kappa, 1)
    greedy = pursue(dictionary, rhs, kappa, 1)
    assert best.support[0] == greedy.support[0]
    assert best.nmse == pytest.approx(greedy.nmse[1], rel=1e-10)


def test_copies_are_passed_over():
    basis, rhs, kappa = case(1, n_atoms=4)
    copies = Basis(np.tile(basis.m, (5, 1)), np.tile(basis.bias, 5))
    best = exhaustive(copies, rhs, kappa, 3)
    assert len(set(best.support % 4)) == 3
    assert best.objective == pytest.approx(exhaustive(basis, rhs, kappa, 3).objective, rel=1e-9)


@pytest.mark.parametrize(
    ("n_neurons", "message"),
    [
        (10, r"n_neurons = 10 of 40 atoms has 847660528 choices, more than 2000000"),
        (0, r"n_neurons must be in 1 ... 40, the atoms of the dictionary, got 0"),
        (41, r"n_neurons must be in 1 ... 40, the atoms of the dictionary, got 41"),
    ],
)
def test_bad_sizes_are_named(n_neurons, message):
    with pytest.raises(ValueError, match=message):
        exhaustive(*case(1, n_atoms=40), n_neurons)

"""Products with a dictionary that is not held against the design matrix as a plain array."""

import tracemalloc

import numpy as np
import pytest

from lrnn import atoms as module
from lrnn.atoms import Atoms
from lrnn.basis import evaluate, gaussian_basis


def case(phi="tanh", P=150, N=700):
    """A dictionary, points, and three vectors (3, P)."""
    rng = np.random.default_rng(0)
    return gaussian_basis(N, 2, phi=phi, rng=rng), rng.normal(size=(P, 2)), rng.normal(size=(3, P))


@pytest.mark.parametrize("phi", ["tanh", "relu"])  # a ufunc of numpy, and a Python function
@pytest.mark.parametrize("n_kept", [0, 1, 450, 700])
@pytest.mark.parametrize("width", [37, 2000])
@pytest.mark.parametrize("block", [1, 10_000, 10**6])  # one point at a time, some, all
def test_products_are_those_of_the_design_matrix(phi, n_kept, width, block, monkeypatch):
    monkeypatch.setattr(module, "WIDTH", width)
    monkeypatch.setattr(module, "BLOCK", block)
    basis, kappa, vectors = case(phi)
    rates = evaluate(basis, kappa)
    atoms = Atoms(basis, kappa, 8 * len(kappa) * n_kept)
    assert len(atoms) == 700
    # Sums of about a hundred numbers of order one, in another order.
    close = {"rtol": 1e-12, "atol": 1e-12}
    for some in (vectors, vectors[:1], vectors[:0]):  # the first computes, the others read
        np.testing.assert_allclose(atoms.products(some), some @ rates, **close)
    for fresh in (atoms, Atoms(basis, kappa, 8 * len(kappa) * n_kept)):
        found, squares = fresh.products_and_squares(vectors)
        np.testing.assert_allclose(found, vectors @ rates, **close)
        np.testing.assert_allclose(squares, np.sum(rates**2, axis=0), **close)
    np.testing.assert_allclose(atoms.column(699), rates[:, 699], **close)


@pytest.mark.parametrize("n_kept", [0, 300, 700])
def test_atoms_that_are_kept_are_computed_once(n_kept, monkeypatch):
    computed = []

    def compute(self, rows, columns, out):
        rates = original(self, rows, columns, out)
        computed.append(rates.size)
        return rates

    original = Atoms._compute
    monkeypatch.setattr(Atoms, "_compute", compute)
    basis, kappa, vectors = case()
    atoms = Atoms(basis, kappa, 8 * len(kappa) * n_kept)
    for _ in range(3):
        atoms.products(vectors)
    assert sum(computed) == len(kappa) * (n_kept + 3 * (700 - n_kept))


@pytest.mark.parametrize("n_kept", [0, 5000])
def test_no_more_is_held_than_memory_allows(n_kept, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 10_000)
    basis, kappa, vectors = case(N=20_000)
    memory = 8 * len(kappa) * n_kept  # all atoms are 24 MB
    tracemalloc.start()
    try:
        atoms = Atoms(basis, kappa, memory)
        atoms.products(vectors[:1])
        held = tracemalloc.get_traced_memory()[1] - memory
    finally:
        tracemalloc.stop()
    # An atom's slopes and offset, twice while they are laid out, and two of its products; a row.
    assert 0 < held < 8 * (20_000 * (2 * 3 + 2) + 2 * module.WIDTH)

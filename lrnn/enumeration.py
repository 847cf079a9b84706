"""The best choice of neurons from a dictionary, found by trying all: the judge of greedy methods.

It is exact and only for small dictionaries: 40 atoms have 9880 triples.
"""

from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np

from lrnn.basis import evaluate
from lrnn.pursuit import DEPENDENT, check_dictionary, regression
from lrnn.regression import ridge_solve

BLOCK = 2**22  # values of subsets that are orthogonalised at once


class Subset(NamedTuple):
    """The best K atoms of a dictionary.

    support : (K,) int; n : (K, R), weights
    objective, mse, nmse : float, as in `lrnn.pursuit.Pursuit`
    """

    support: np.ndarray
    n: np.ndarray
    objective: float
    mse: float
    nmse: float


def exhaustive(
    dictionary, velocity, kappa, n_neurons, *, tau=1.0, ridge=0.0, most_subsets=2_000_000
):
    """The K atoms of lowest objective among all choices of K, with unit leak.

    dictionary, velocity, kappa, n_neurons, tau, ridge : as in `lrnn.pursuit.pursue`
    most_subsets : int, how many choices to try at most
    Returns : Subset
    Raises : ValueError as `lrnn.pursuit.pursue`, and if there are more choices than `most_subsets`
    """
    task = regression(velocity, kappa, tau=tau, ridge=ridge)
    check_dictionary(dictionary, task, n_neurons)
    N, K = len(dictionary), int(n_neurons)
    if comb(N, K) > most_subsets:
        raise ValueError(
            f"n_neurons = {K} of {N} atoms has {comb(N, K)} choices, more than {most_subsets}"
        )
    rates = evaluate(dictionary, task.kappa)
    columns, inside = _reduced(rates, task)
    subsets = np.array(list(combinations(range(N), K)))
    n_parts = -(-subsets.size * len(inside) // BLOCK)
    explained = np.concatenate(
        [_explained(columns.T[part], inside) for part in np.array_split(subsets, n_parts)]
    )
    support = subsets[np.argmax(explained)]
    n = ridge_solve(rates[:, support], task.target, ridge=ridge).n
    mse = np.mean(np.sum((task.target - rates[:, support] @ n) ** 2, axis=1))
    objective = mse + task.penalty * np.sum(n**2)
    return Subset(support, n, float(objective), float(mse), float(mse / task.power))


def _reduced(rates, task):
    """Atoms (S, N) and target (S, R) in an orthonormal basis of the atoms, S <= N if P >= N.

    All subsets share this factorisation. A ridge is N more rows under the atoms.
    """
    P, N = rates.shape
    penalty = np.sqrt(P * task.penalty) * np.eye(N if task.penalty > 0 else 0, N)
    q, triangle = np.linalg.qr(np.vstack([rates, penalty]))
    return triangle, q[:P].T @ task.target


def _explained(vectors, target):
    """How much of |target|^2 each set of K vectors explains, by Gram-Schmidt on all sets at once.

    vectors : (C, K, S); target : (S, R)
    Returns : (C,)
    """
    directions = np.zeros_like(vectors)
    for k in range(vectors.shape[1]):
        vector = vectors[:, k]
        square = np.sum(vector**2, axis=1)
        for _ in range(2):  # the second pass removes what rounding left
            along = np.einsum("cks,cs->ck", directions[:, :k], vector)
            vector = vector - np.einsum("ck,cks->cs", along, directions[:, :k])
        length = np.linalg.norm(vector, axis=1)
        free = length**2 > DEPENDENT * square
        directions[free, k] = vector[free] / length[free, None]
    return np.sum((directions @ target) ** 2, axis=(1, 2))

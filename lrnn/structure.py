"""Structure in a connectivity matrix: what training added, along which directions, between whom.

J is indexed [post, pre]. Labels, references and directions must come from elsewhere than the matrix
that they are tested on, or their chance levels do not hold.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import orth
from scipy.special import betaincinv

from lrnn._check import finite_array


class Terms(NamedTuple):
    """A matrix as sum_k strength_k u_k v_k^T.

    strength : (N,), >= 0, falling
    u, v : (N, N), a column a term, of unit length and orthogonal to the others
    """

    strength: np.ndarray
    u: np.ndarray
    v: np.ndarray


class Regression(NamedTuple):
    """J = factor J0 + remainder, the remainder (N, N) orthogonal to J0 entry by entry."""

    factor: float
    remainder: np.ndarray


# What training added


def regress_out(J, J0):
    """J = a J0 + remainder, a by least squares over all entries.

    Decay of weights shrinks J0 as a whole, and J - J0 then holds (a - 1) J0, of full rank. What was
    learned, of low rank, moves a by order 1/N at most.

    J, J0 : (N, N), J0 not zero
    Returns : Regression
    Raises : ValueError if a shape disagrees or J0 is zero
    """
    J = finite_array("J", J, (len(J), len(J)))
    J0 = finite_array("J0", J0, J.shape)
    if not J0.any():
        raise ValueError("J0 must not be zero")
    factor = float(np.vdot(J0, J) / np.vdot(J0, J0))
    return Regression(factor, J - factor * J0)


def rank_one_terms(delta, *, reference=None):
    """Singular value decomposition of a change of J: delta = sum_k strength_k u_k v_k^T.

    Strengths are positive and vectors have unit length; so the sign of strength v.u, where a lone
    term puts an eigenvalue, tells left from right. A decomposition leaves the common sign of u_k
    and v_k open.

    delta : (N, N), such as J - J0 or the remainder of `regress_out`
    reference : (N,), with which every u has an overlap >= 0; without it the entry of u that is
        largest in size is positive
    Returns : Terms
    Raises : ValueError if a shape disagrees or a value is not finite
    """
    delta = finite_array("delta", delta, (len(delta), len(delta)))
    u, strength, vt = np.linalg.svd(delta)
    if reference is None:
        leaning = u[np.argmax(np.abs(u), axis=0), np.arange(len(u))]
    else:
        leaning = finite_array("reference", reference, (len(u),)) @ u
    sign = np.where(leaning < 0, -1.0, 1.0)
    return Terms(strength, u * sign, vt.T * sign)


def truncated(terms, R):
    """The first R terms as a matrix (N, N): the nearest of rank R. R = 0 gives zero."""
    return (terms.u[:, :R] * terms.strength[:R]) @ terms.v[:, :R].T


def variance_fractions(terms):
    """Share of |delta|_F^2 that the first 1, 2, ... terms carry, (N,), not decreasing, last 1.

    Raises : ValueError if all strengths are zero
    """
    total = np.cumsum(terms.strength**2)
    if not total[-1] > 0:
        raise ValueError("terms must not be those of a zero matrix")
    return total / total[-1]


def cosines(a, b):
    """Cosines between the columns of a (N, P) and those of b (N, Q): (P, Q).

    Raises : ValueError if a shape disagrees or a column is zero
    """
    a = finite_array("a", a, ("N", "P"))
    b = finite_array("b", b, (len(a), "Q"))
    lengths = np.outer(np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=0))
    if not lengths.all():
        raise ValueError("columns of a and b must not be zero")
    return a.T @ b / lengths


def chance_cosine(n, *, level=0.95):
    """|cosine| with a fixed direction that a random one exceeds with probability 1 - level.

    cos^2 has a Beta(1/2, (n - 1)/2) distribution. The random direction is one of no preference: two
    vectors whose entries are mostly of one sign have a large cosine by that alone.

    n : int, >= 2; level : float in (0, 1)
    Returns : float
    """
    return float(np.sqrt(betaincinv(0.5, 0.5 * (n - 1), level)))


def subspace_overlap(a, b):
    """|A^T B|_F^2 / min(P, Q) for orthonormal bases A, B of the spans of a and b.

    The mean squared cosine of the principal angles: 1 where one span holds the other, 0 where they
    are orthogonal. Between random spans of dimensions P and Q its mean is max(P, Q)/N.

    a : (N, P'), b : (N, Q'), spanning columns, dependent or not, not all zero
    Returns : float
    Raises : ValueError if a shape disagrees or a span is {0}
    """
    A = orth(finite_array("a", a, ("N", "P")))
    B = orth(finite_array("b", b, (len(A), "Q")))
    dimension = min(A.shape[1], B.shape[1])
    if dimension == 0:
        raise ValueError("a and b must have a column that is not zero")
    return float(np.sum((A.T @ B) ** 2) / dimension)


# Means of weights


def block_means(J, labels):
    """Mean weight from each cluster of neurons to each, (K, K), [post, pre].

    Means of single rows and columns are J.mean(axis=1), what each neuron receives, and
    J.mean(axis=0), what it sends; in a bulk of radius g they have a standard deviation of g/N.

    J : (N, N); labels : (N,) int, cluster of each neuron, 0 to K - 1, none empty
    Raises : ValueError if a shape disagrees, or a cluster is empty
    """
    J = finite_array("J", J, (len(J), len(J)))
    labels = np.asarray(labels)
    if labels.shape != (len(J),) or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise ValueError(f"labels must be {len(J)} integers from 0 on, got {labels!r}")
    sizes = np.bincount(labels)
    if not sizes.all():
        raise ValueError(f"labels must leave no cluster empty, got sizes {sizes.tolist()}")
    average = np.eye(len(sizes))[:, labels] / sizes[:, None]  # (K, N)
    return average @ J @ average.T


def shuffled_block_means(J, labels, n_draws, *, rng):
    """`block_means` with labels dealt out anew, (n_draws, K, K): what clusters of these sizes show.

    It is a null for labels from independent data. Clusters of the rows of J, of its singular
    vectors or of activity that it makes stand out from it in any matrix, a random one too.
    """
    return np.stack([block_means(J, rng.permutation(labels)) for _ in range(n_draws)])

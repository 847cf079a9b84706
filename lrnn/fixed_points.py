"""Fixed points of a `LowRankRNN`, found and classified in its R latent dimensions.

Fixed points of the N neurons and of the R latents correspond one to one, in both forms. The other
N - R eigenvalues of the full Jacobian are -1/tau and never change the stability.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import root

from lrnn._check import finite_array, positive
from lrnn.network import latent_jacobian, latent_velocity


class FixedPoints(NamedTuple):
    """The K distinct fixed points that a search found, in increasing order of their coordinates.

    kappa : (K, R)
    residual : (K,), |tau dkappa/dt| left at the point, latent units
    eigenvalues : (K, R) complex, of the latent Jacobian, 1/s, the largest real part first
    stable : (K,) bool, whether all real parts are negative
    hits : (K,) int, how many starts arrived there
    failed_starts : (F, R), the starts that arrived nowhere
    failed_residual : (F,), |tau dkappa/dt| where each of them stopped
    """

    kappa: np.ndarray
    residual: np.ndarray
    eigenvalues: np.ndarray
    stable: np.ndarray
    hits: np.ndarray
    failed_starts: np.ndarray
    failed_residual: np.ndarray


def latent_bound(net):
    """Box that holds every fixed point: |kappa_r| <= sup|phi| sum_i |n_ir|, (R,).

    Raises : ValueError if phi is not bounded
    """
    if not np.isfinite(net.phi.bound):
        raise ValueError(f"no box holds every fixed point: phi = {net.phi.name} is not bounded")
    return net.phi.bound * np.abs(net.n).sum(axis=0)


def fixed_points(net, starts, v=None, *, tol=1e-10, distinct=1e-5):
    """Solve kappa = n^T phi(m kappa + w_in v + bias) from many starts.

    Each start runs Powell's hybrid method with the exact Jacobian, then Newton steps polish what it
    found. On a continuum of fixed points, such as a ring, every start finds its own.

    starts : (S, R), for example uniform in the box of `latent_bound`
    v : (D,), the constant input that the neurons see; None only without input channels
    tol : float, > 0, largest residual accepted, relative to 1 + |kappa|
    distinct : float, > 0, points nearer than this, relative to 1 + |kappa|, are one
    Returns : FixedPoints
    Raises : ValueError if a shape disagrees
    """
    starts = finite_array("starts", starts, ("S", net.rank))
    v = None if v is None else finite_array("v", v, (net.n_inputs,))
    tol, distinct = positive("tol", tol), positive("distinct", distinct)
    ends = np.array([_descend(net, start, v) for start in starts]).reshape(starts.shape)
    residual = np.linalg.norm(net.tau * latent_velocity(net, ends, v), axis=1)
    scale = 1.0 + np.linalg.norm(ends, axis=1)
    arrived = residual <= tol * scale
    chosen, hits = _distinct(ends[arrived], residual[arrived], distinct * scale[arrived])
    kappa = ends[arrived][chosen]
    eigenvalues = np.linalg.eigvals(latent_jacobian(net, kappa, v)).astype(complex)
    order = np.argsort(-eigenvalues.real, axis=1)
    eigenvalues = np.take_along_axis(eigenvalues, order, axis=1)
    return FixedPoints(
        kappa,
        residual[arrived][chosen],
        eigenvalues,
        eigenvalues.real.max(axis=1) < 0,
        hits,
        starts[~arrived],
        residual[~arrived],
    )


def _descend(net, start, v, polish=3):
    """Where the hybrid method and then Newton's method lead from one start, (R,)."""

    def balance(kappa):
        return net.tau * latent_velocity(net, kappa, v)

    def slope(kappa):
        return net.tau * latent_jacobian(net, kappa, v)

    kappa = root(balance, start, jac=slope, method="hybr").x
    for _ in range(polish):
        # Least squares: on a continuum of fixed points the Jacobian is singular along it.
        trial = kappa - np.linalg.lstsq(slope(kappa), balance(kappa), rcond=None)[0]
        if np.linalg.norm(balance(trial)) >= np.linalg.norm(balance(kappa)):
            break
        kappa = trial
    return kappa


def _distinct(points, residual, radius):
    """Index of the best point of each cluster, in order of coordinates, and the cluster sizes."""
    chosen, hits = [], []
    free = np.ones(len(points), dtype=bool)
    for index in np.argsort(residual, kind="stable"):
        if free[index]:
            near = free & (np.linalg.norm(points - points[index], axis=1) <= radius[index])
            free &= ~near
            chosen.append(index)
            hits.append(near.sum())
    order = np.lexsort(points[chosen].T[::-1]) if chosen else np.zeros(0, dtype=int)
    return np.array(chosen, dtype=int)[order], np.array(hits, dtype=int)[order]

"""Penalties on the recurrent matrix, to be added to a loss: differentiable torch functions.

J is given whole, or as J = m n^T by its factors, from which the penalty is computed without forming
J. A sum m n^T + M N^T is one product, of the factors side by side: torch.cat((m, M), dim=1) and
torch.cat((n, N), dim=1). The training note adds lambda_W |J|_F^2 + lambda_bal |1^T J / N|^2 to its
loss; the fMRI framework adds penalties on the singular values of J and on responses to a push.

Those on singular values take them as an argument, so that several share one decomposition. They
are the torch twins of measures in `lrnn.dimensionality`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from lrnn._check import not_negative

RAMPS = {
    "constant": lambda done: 1.0,
    "falling": lambda done: 1.0 - done,
    "rising": lambda done: done,
}


# Size and balance


def frobenius(J):
    """|J|_F^2, the sum of the squares of all entries of J (N, N): a tensor without axes.

    Its gradient, 2 J, shrinks J as a whole: after training, a change of J holds a multiple of where
    it began, besides what was learned.

    Raises : ValueError if J is not square
    """
    return _square("J", J).square().sum()


def frobenius_factors(m, n):
    """|m n^T|_F^2 = tr((m^T m)(n^T n)) for m, n (N, R), at a cost of N R^2.

    Raises : ValueError if the shapes disagree
    """
    m, n = _factors(m, n)
    return torch.sum((m.T @ m) * (n.T @ n))


def balance(J):
    """|1^T J / N|^2, the sum of the squares of the N means over post-synaptic neurons.

    J is indexed [post, pre], so these are means of columns: what each neuron sends on average.
    Means of rows, what each receives, are not penalised, although the note's label says "row/col".
    The gradient, (2/N^2) 1 1^T J, lets a step of gradient descent multiply 1^T J by
    1 - 2 rate lambda_bal/N.

    J : (N, N)
    Returns : a tensor without axes
    Raises : ValueError if J is not square
    """
    return _square("J", J).mean(dim=0).square().sum()


def balance_factors(m, n):
    """`balance` of m n^T for m, n (N, R): |n mean(m)|^2, at a cost of N R.

    Raises : ValueError if the shapes disagree
    """
    m, n = _factors(m, n)
    return (n @ m.mean(dim=0)).square().sum()


# Singular values


def singular_values(J):
    """Singular values of J, largest first, with the gradient d sigma_i = u_i^T dJ v_i.

    No difference of singular values is divided by, so that repeated ones do no harm. What is 0 but
    for round-off is returned as 0, with gradient 0: sigma_i has a kink there, |x| in every
    direction that would raise the rank, and 0 is in the middle of its slopes. A penalty can
    therefore lower the rank of J but never raise it. First derivatives only.

    J : (N, N)
    Returns : (N,)
    Raises : ValueError if J is not square
    """
    J = _square("J", J)
    with torch.no_grad():
        u, sigma, vt = torch.linalg.svd(J)
        u, sigma = _alive(u, sigma, torch.linalg.vector_norm(J))
    return _with_gradient(sigma, ((u.T @ J) * vt).sum(dim=1))


def singular_values_factors(m, n):
    """`singular_values` of m n^T, but for its last N - R zeros, at a cost of N R^2.

    With m = Q_m R_m and n = Q_n R_n, they are those of the R x R matrix R_m R_n^T.

    m, n : (N, R)
    Returns : (min(N, R),)
    Raises : ValueError if the shapes disagree
    """
    m, n = _factors(m, n)
    with torch.no_grad():
        (q_m, r_m), (q_n, r_n) = torch.linalg.qr(m), torch.linalg.qr(n)
        u, sigma, vt = torch.linalg.svd(r_m @ r_n.T)
        # Where columns cancel in the product, it is their size that round-off goes by.
        size = torch.linalg.vector_norm(r_m) * torch.linalg.vector_norm(r_n)
        u, sigma = _alive(u, sigma, size)
        u, v = q_m @ u, q_n @ vt.T
    return _with_gradient(sigma, ((u.T @ m) * (v.T @ n)).sum(dim=1))


def nuclear_norm(sigma):
    """The sum of the singular values (..., K): (...).

    Its gradient U V^T lowers all of them at one rate, the small ones to zero; so it shrinks J as
    well as its rank. |m n^T|_* is the least of (|m|_F^2 + |n|_F^2)/2 over all factors of J, so that
    weight decay on factors does the same (Srebro, Rennie & Jaakkola 2005).
    """
    return sigma.sum(dim=-1)


def effective_rank(sigma):
    """exp(H) of the singular values (..., K), H = -sum p log p, p = sigma/sum sigma: (...).

    Roy & Vetterli (2007). It does not change with the scale of J. Towards sigma_i = 0 its slope
    grows as -log p_i, without a bound.

    Raises : ValueError if all singular values are zero
    """
    total = _total(sigma)
    p = sigma / total
    return torch.exp(-(p * torch.log(torch.where(p > 0, p, 1.0))).sum(dim=-1))


def participation_ratio(sigma):
    """(sum sigma)^2 / sum sigma^2 of the singular values (..., K), or of their squares: (...).

    The formula that the fMRI framework prints for its effective rank. It is free of scale too, and
    its slope is bounded.

    Raises : ValueError if all are zero
    """
    p = sigma / _total(sigma)
    return 1.0 / p.square().sum(dim=-1)


def exponential_spectrum(count, *, rate, largest):
    """largest exp(-rate i) for i = 0, ..., count - 1, (count,) float64: a target for sigma.

    The framework gives the rate gamma only; without a scale, J is held to none.
    """
    return largest * torch.exp(-rate * torch.arange(count, dtype=torch.float64))


def spectral_distance(sigma, target):
    """sum_i (sigma_i - target_i)^2 over the longer of both, where the other is continued by zeros.

    A target longer than the rank R leaves the sum of target_i^2 over i >= R, whatever J does. By
    von Neumann's inequality this is the least squared distance of J from a matrix with the target
    for its singular values.

    sigma : (K,), target : (L,), both largest first
    Raises : ValueError if one is not a vector
    """
    target = torch.as_tensor(target, dtype=sigma.dtype, device=sigma.device)
    if sigma.ndim != 1 or target.ndim != 1:
        raise ValueError(
            f"sigma and target must be vectors, got shapes {tuple(sigma.shape)} and "
            f"{tuple(target.shape)}"
        )
    shared = min(len(sigma), len(target))
    rest = sigma[shared:].square().sum() + target[shared:].square().sum()
    return (sigma[:shared] - target[:shared]).square().sum() + rest


# Heterogeneity of responses


def heterogeneity(norms):
    """-Var_j |dh/dI_j|, the variance over the n sources of the sizes of responses, as published.

    It has no lower bound: where responses are proportional to J, doubling J multiplies it by four,
    so that its minimisation is a race between this and what keeps J small.

    norms : (..., n), Euclidean norms of the responses to a push at each source; leading axes are
        averaged over
    Returns : a tensor without axes
    """
    return -norms.var(dim=-1, correction=0).mean()


def heterogeneity_target(norms, cv):
    """(CV_j |dh/dI_j| - cv)^2, the coefficient of variation over sources held to a value.

    Zero at best, and free of the scale of the responses. CV lies between 0, all alike, and
    sqrt(n - 1), one alone.

    norms : (..., n), not all zero; leading axes are averaged over
    cv : float, the value wanted, >= 0
    Returns : a tensor without axes
    Raises : ValueError if cv is negative or responses are all zero
    """
    cv = not_negative("cv", cv)
    relative = norms / (_total(norms) / norms.shape[-1])
    variance = relative.var(dim=-1, correction=0)
    # The square root has no slope at 0, where all responses are alike; there it is taken as 0.
    spread = torch.where(variance > 0, torch.where(variance > 0, variance, 1.0).sqrt(), 0.0)
    return (spread - cv).square().mean()


# Several at once


class Term(NamedTuple):
    """weight ramp(done) penalty(model), done in [0, 1) being the share of steps taken.

    penalty : function model -> tensor without axes
    weight : float, >= 0
    ramp : "constant", "falling" (from the weight to 0), "rising" (from 0 to the weight), or a
        function done -> factor
    """

    penalty: Callable
    weight: float
    ramp: str | Callable = "constant"


def weighted(*terms):
    """The sum of terms, as `lrnn.training.train` takes it for `penalty`: (model, done) -> tensor.

    Raises : ValueError if a weight is negative or a ramp has no such name
    """
    ready = []
    for penalty, weight, ramp in terms:
        if not callable(ramp) and ramp not in RAMPS:
            raise ValueError(f"ramp must be one of {', '.join(RAMPS)} or a function, got {ramp!r}")
        ready.append((penalty, not_negative("weight", weight), RAMPS.get(ramp, ramp)))
    return lambda model, done: sum(
        weight * ramp(done) * penalty(model) for penalty, weight, ramp in ready
    )


def _alive(u, sigma, size):
    """Left vectors and singular values, both set to 0 where round-off made them."""
    alive = sigma > len(sigma) * torch.finfo(sigma.dtype).eps * size
    return u * alive, sigma * alive


def _with_gradient(value, linear):
    """`value`, with the gradient of `linear`, which equals it but for round-off."""
    return value + (linear - linear.detach())


def _total(sizes):
    """Sum over the last axis, kept; ValueError where there is nothing to divide."""
    total = sizes.sum(dim=-1, keepdim=True)
    if not (total > 0).all():
        raise ValueError("sizes are all zero: their spread is not defined")
    return total


def _square(name, matrix):
    matrix = torch.as_tensor(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name} must be square, got shape {tuple(matrix.shape)}")
    return matrix


def _factors(m, n):
    m, n = torch.as_tensor(m), torch.as_tensor(n)
    if m.ndim != 2 or m.shape != n.shape:
        raise ValueError(
            f"m and n must have one shape (N, R), got {tuple(m.shape)} and {tuple(n.shape)}"
        )
    return m, n

"""Penalties on the recurrent matrix, to be added to a loss: differentiable torch functions.

J is given whole, or as J = m n^T by its factors, from which the penalty is computed without forming
J. The training note adds lambda_W |J|_F^2 + lambda_bal |1^T J / N|^2 to its loss.
"""

import torch


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

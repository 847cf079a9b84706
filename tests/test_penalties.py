"""Penalties against their definitions, autograd against finite differences, and a rate of decay."""

import numpy as np
import pytest
import torch

from lrnn import penalties


def factors(N=7, R=2, seed=0):
    rng = np.random.default_rng(seed)
    return (torch.tensor(rng.normal(size=(N, R))) for _ in range(2))


def test_frobenius_is_the_sum_of_squares_and_of_squared_singular_values():
    J = np.random.default_rng(1).normal(size=(5, 5))
    value = float(penalties.frobenius(torch.tensor(J)))
    assert value == pytest.approx(sum(x**2 for x in J.ravel()), rel=1e-13)
    assert value == pytest.approx(np.sum(np.linalg.svd(J, compute_uv=False) ** 2), rel=1e-12)


def test_balance_sees_what_a_neuron_sends_and_not_what_it_receives():
    """J[post, pre] = a_pre has column means a and row means all alike; J^T has them reversed."""
    a = torch.tensor([1.0, -2.0, 1.0])  # without a mean of its own
    J = a.repeat(3, 1)
    assert float(penalties.balance(J)) == pytest.approx(6.0)
    assert float(penalties.balance(J.T)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("R", [1, 3])
def test_factors_give_the_penalty_of_the_matrix(R):
    m, n = factors(R=R)
    J = m @ n.T
    for whole, parts in (
        (penalties.frobenius, penalties.frobenius_factors),
        (penalties.balance, penalties.balance_factors),
    ):
        # Sums of 49 R^2 products in another order.
        assert float(parts(m, n)) == pytest.approx(float(whole(J)), rel=1e-12)


@pytest.mark.parametrize("penalty", ["frobenius", "balance"])
def test_gradients_are_exact(penalty):
    J = torch.tensor(np.random.default_rng(2).normal(size=(4, 4)), requires_grad=True)
    assert torch.autograd.gradcheck(getattr(penalties, penalty), J)
    m, n = factors(N=4)
    m.requires_grad_(), n.requires_grad_()
    assert torch.autograd.gradcheck(getattr(penalties, penalty + "_factors"), (m, n))


def test_descent_on_the_balance_shrinks_column_sums_at_the_stated_rate_and_keeps_the_rest():
    N, rate, weight = 6, 0.5, 0.8
    J = torch.tensor(np.random.default_rng(3).normal(size=(N, N)), requires_grad=True)
    start = J.detach().clone()
    for _ in range(10):
        (gradient,) = torch.autograd.grad(weight * penalties.balance(J), J)
        with torch.no_grad():
            J -= rate * gradient
    factor = (1 - 2 * rate * weight / N) ** 10
    end = J.detach()
    np.testing.assert_allclose(end.sum(dim=0), factor * start.sum(dim=0), rtol=1e-12, atol=1e-13)
    # Only the component along 1 moved.
    np.testing.assert_allclose(end - end.mean(dim=0), start - start.mean(dim=0), rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: penalties.frobenius(torch.ones(2, 3)), r"J must be square, got shape \(2, 3\)"),
        (lambda: penalties.balance(torch.ones(3)), r"J must be square, got shape \(3,\)"),
        (
            lambda: penalties.frobenius_factors(torch.ones(3, 1), torch.ones(3, 2)),
            r"m and n must have one shape \(N, R\), got \(3, 1\) and \(3, 2\)",
        ),
        (lambda: penalties.balance_factors(torch.ones(3), torch.ones(3)), "one shape"),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()

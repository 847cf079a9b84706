"""Singular values of J = m n^T from its factors against those of J, with gradients."""

import torch

from benchmarks.timing import interleaved
from lrnn.penalties import nuclear_norm, singular_values_factors

SIZES = {100: 10, 300: 5, 1000: 2}
R = 9  # the framework's rank: one common mode and eight
LEAST_RATIO = {1000: 100.0}


def case(N):
    """Functions that return dL/dm, from the whole matrix and from factors."""
    generator = torch.Generator().manual_seed(N)
    m, n = (torch.randn(N, R, generator=generator, requires_grad=True) for _ in range(2))

    def dense():
        return torch.autograd.grad(nuclear_norm(torch.linalg.svdvals(m @ n.T)), m)[0]

    def factors():
        return torch.autograd.grad(nuclear_norm(singular_values_factors(m, n)), m)[0]

    return dense, factors


def run():
    """Print the table; return the limits that were missed."""
    torch.set_num_threads(1)
    failures = []
    print(f"Nuclear norm of m n^T and its gradient, R = {R}, ms; float32, one thread.")
    print(f"{'N':>7}{'dense':>10}{'factors':>10}{'ratio':>8}")
    for N, repeats in SIZES.items():
        dense, factors = case(N)
        torch.testing.assert_close(factors(), dense(), rtol=1e-3, atol=1e-3)
        slow, fast = interleaved([dense, factors], repeats)
        print(f"{N:>7}{1e3 * slow:>10.2f}{1e3 * fast:>10.3f}{slow / fast:>8.0f}")
        if slow / fast < LEAST_RATIO.get(N, 0.0):
            failures.append(
                f"factors {slow / fast:.0f} times faster at N = {N}, not {LEAST_RATIO[N]:.0f}"
            )
    return failures

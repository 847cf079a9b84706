"""The exact gradient of a linear filter against scipy's Lyapunov solvers, and its flow."""

import numpy as np
from scipy.linalg import solve_continuous_lyapunov

from benchmarks.timing import interleaved
from lrnn.filtering import denoising, learn, loss, optimum, rank_one

SIZES = {20: 40, 60: 40, 200: 10}
LEAST_RATIO = {60: 3.0, 200: 3.0}  # solvers over ours
GAIN, RATES = 0.5, (0.3, 3.0)  # of the bulk; of the best filter of a signal of 5 s, 1/s
T = 1000.0  # of the flow, N = 60


def case(N, rate=RATES[-1]):
    """A problem, J, w_out and w_in along one random direction."""
    rng = np.random.default_rng(N)
    J, B = GAIN * rng.normal(size=(N, N)) / np.sqrt(N), rng.normal(size=(N, 1))
    problem, B = denoising(tau=5.0, noise=np.sqrt(0.4 / (rate**2 - 0.04))), B / np.linalg.norm(B)
    return problem, J, optimum(problem).overlap * B, B


def solvers(problem, J, w_out, w_in):
    """dL/dJ from two equations of the size of network and signal, by Schur decompositions."""
    N = len(J)
    A = np.block([[J - np.eye(N), w_in], [np.zeros((1, N)), problem.drift]])
    kicks = np.zeros((N + 1, 2))
    kicks[:N, 0], kicks[N, 1] = problem.noise * w_in[:, 0], problem.spread[0]
    read = np.append(w_out[:, 0], -1.0)
    P = solve_continuous_lyapunov(A, -kicks @ kicks.T)
    Q = solve_continuous_lyapunov(A.T, -np.outer(read, read))
    return 2.0 * (Q @ P)[:N, :N]


def run():
    """Print the table; return the limits that were missed."""
    failures = []
    print("Exact loss and gradient of a linear filter, ms; one thread.")
    print(f"{'N':>7}{'lrnn':>10}{'solvers':>10}{'ratio':>8}")
    for N, repeats in SIZES.items():
        network = case(N)
        np.testing.assert_allclose(loss(*network).J, solvers(*network), atol=1e-9)
        ours, theirs = interleaved(
            [lambda network=network: loss(*network), lambda network=network: solvers(*network)],
            repeats,
        )
        print(f"{N:>7}{1e3 * ours:>10.2f}{1e3 * theirs:>10.2f}{theirs / ours:>8.1f}")
        if theirs / ours < LEAST_RATIO.get(N, 0.0):
            failures.append(f"gradient {theirs / ours:.1f} times faster at N = {N}")
    print(
        f"Flow of J, N = 60, to t = {T:g}; descent takes at least these steps if stable in the end."
    )
    print(f"{'rate':>7}{'s':>10}{'gradients':>12}{'descent':>10}{'excess':>10}")
    for rate in RATES:
        network = case(60, rate)
        [seconds] = interleaved([lambda network=network: learn(*network, [0.0, T])], 3)
        flow, best = learn(*network, [0.0, T]), optimum(network[0])
        steps = T * rank_one(network[0], best.eigenvalue, best.overlap).curvature / 2.0
        excess = flow.loss[-1] - best.error
        print(f"{rate:>7}{seconds:>10.2f}{flow.evaluations:>12}{steps:>10.0f}{excess:>10.1e}")
    return failures

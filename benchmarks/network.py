"""Latent simulation against all N neurons, through thin products and through the dense matrix."""

import numpy as np

from benchmarks.timing import interleaved, peak_memory
from lrnn.network import LowRankRNN, connectivity, lift
from lrnn.simulate import simulate, simulate_dense, simulate_latent

B, R, D, DT = 32, 2, 1, 0.1
STEPS = {100: 100, 1000: 100, 10000: 5}
REPEATS = {100: 10, 1000: 10, 10000: 3}
LEAST_RATIO = {1000: 20.0, 10000: 100.0}  # dense time over latent time
LONG = 100  # steps of the memory measurement
MOST_GROWTH = 1.1  # of latent memory from N to 10 N, over the factor 10 that is linear


def case(N, n_steps):
    """A network of N neurons, its initial latents (B, R) and white input (B, T, D)."""
    rng = np.random.default_rng(N)
    m = rng.normal(size=(N, R))
    net = LowRankRNN(m, (m + rng.normal(size=(N, R))) / N, w_in=rng.normal(size=(N, D)))
    return net, rng.normal(size=(B, R)), rng.normal(size=(B, n_steps, D))


def compare(N):
    """Milliseconds a step: latent, thin, dense; what forming J takes is taken off."""
    net, kappa0, u = case(N, STEPS[N])
    x0 = lift(net, kappa0, np.zeros((B, D)))
    latent, thin, dense, forming = interleaved(
        [
            lambda: simulate_latent(net, kappa0, u, dt=DT),
            lambda: simulate(net, x0, u, dt=DT),
            lambda: simulate_dense(net, x0, u, dt=DT),
            lambda: connectivity(net),
        ],
        REPEATS[N],
    )
    return [1e3 * seconds / STEPS[N] for seconds in (latent, thin, dense - forming)]


def latent_memory(N):
    """Peak bytes of a latent simulation of LONG steps."""
    net, kappa0, u = case(N, LONG)
    return peak_memory(lambda: simulate_latent(net, kappa0, u, dt=DT))


def run():
    """Print the table; return the limits that were missed."""
    failures = []
    print(f"Simulation, ms a step; B = {B} trials, R = {R}, D = {D}, tanh, float64, one thread.")
    print(f"{'N':>7}{'latent':>10}{'thin':>10}{'dense':>10}{'thin/latent':>13}{'dense/latent':>14}")
    for N in STEPS:
        latent, thin, dense = compare(N)
        ratio = dense / latent
        print(
            f"{N:>7}{latent:>10.3f}{thin:>10.3f}{dense:>10.3f}{thin / latent:>13.1f}{ratio:>14.1f}"
        )
        if ratio < LEAST_RATIO.get(N, 0.0):
            failures.append(f"latent {ratio:.1f} times faster at N = {N}, not {LEAST_RATIO[N]:.0f}")
    bytes_held = {N: latent_memory(N) for N in (1000, 10000, 100000)}
    print(f"Latent simulation of {LONG} steps, peak memory:")
    for N, held in bytes_held.items():
        print(f"{N:>7}{held / 2**20:>10.1f} MiB{held / N:>10.0f} bytes a neuron")
    growth = bytes_held[100000] / bytes_held[10000] / 10
    if growth > MOST_GROWTH:
        failures.append(f"latent memory grows {growth:.2f} times faster than N")
    return failures

"""Mean-field solvers against simulating a network, and against each other."""

import numpy as np

from benchmarks.timing import interleaved
from lrnn.fluctuations import (
    chaotic_autocovariance,
    chaotic_states,
    driven_autocovariance,
    shared_response,
)
from lrnn.inputs import ornstein_uhlenbeck
from lrnn.meanfield import static_states, structured_connectivity
from lrnn.simulate import simulate_matrix

DT, STEPS = 0.1, 500
REPEATS = 3
LEAST_RATIO = {"fixed points": 3.0, "a shared signal": 3.0}  # one network over theory
LEAST_CHAOS = 3.0  # iterated spectra over the potential


def fixed_points(N=1000):
    """A network that comes to rest, with an input, inhibition and a mode; and the theory of it."""
    rng = np.random.default_rng(0)
    net = structured_connectivity(N, g=0.8, b=2.0, strength=2.0, rng=rng)
    start, bias = rng.standard_normal((1, N)), np.ones((1, STEPS, 1))
    return (
        lambda: simulate_matrix(net.J, start, bias, dt=DT),
        lambda: static_states("tanh", g=0.8, overlap=2.0, b=2.0, bias=1.0),
    )


def a_shared_signal(N=2000):
    """A network whose neurons share a signal, loaded on the mode; and the two-time theory of it."""
    rng = np.random.default_rng(0)
    net = structured_connectivity(N, g=0.8, strength=0.8, rng=rng)
    signal = ornstein_uhlenbeck((1, STEPS, 1), dt=DT, tau=2.0, rng=rng)
    drive, given = signal * np.sqrt(N) * net.u, {"overlap": 0.8, "selection": 0.8, "alignment": 1.0}
    return (
        lambda: simulate_matrix(net.J, np.zeros((1, N)), drive, dt=DT),
        lambda: shared_response(signal[0, :, 0], g=0.8, dt=DT, **given),
    )


def chaos():
    """Times of chaos at g = 2 by its potential and by iterated spectra, and their difference."""
    lag = DT * np.arange(1001)

    def potential():
        return chaotic_autocovariance(chaotic_states(g=2.0)[0], lag)

    def spectra():  # a negligible drive starts it off
        return driven_autocovariance(1e-6 * np.exp(-lag), g=2.0, dt=DT, euler=False)

    return *interleaved([potential, spectra], REPEATS), np.abs(potential() - spectra()).max()


def run():
    """Print the table; return the limits that were missed."""
    failures = []
    print(f"Mean-field theory against one network of {STEPS} steps, tanh, float64, one thread, ms.")
    print(f"{'':>20}{'N':>8}{'network':>10}{'theory':>10}{'ratio':>8}")
    for (name, least), N, pair in zip(
        LEAST_RATIO.items(), (1000, 2000), (fixed_points(), a_shared_signal()), strict=True
    ):
        network, theory = interleaved(pair, REPEATS)
        ratio = network / theory
        print(f"{name:>20}{N:>8}{1e3 * network:>10.1f}{1e3 * theory:>10.1f}{ratio:>8.1f}")
        if ratio < least:
            failures.append(f"theory of {name} is {ratio:.1f} times faster, not {least:.0f}")
    potential, spectra, gap = chaos()
    ratio = spectra / potential
    print(f"Chaos at g = 2: potential {1e3 * potential:.1f}, iterated spectra {1e3 * spectra:.1f}, "
          f"ratio {ratio:.1f}; difference {gap:.0e}")  # fmt: skip
    if ratio < LEAST_CHAOS:
        failures.append(f"the potential is {ratio:.1f} times faster for chaos")
    return failures

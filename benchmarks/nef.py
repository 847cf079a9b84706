"""Least-squares embedding against nengo's solvers and scipy's, on the same design matrices."""

import warnings

import numpy as np
import scipy.linalg

from benchmarks.timing import interleaved
from lrnn import nef, targets
from lrnn.basis import Basis, evaluate
from lrnn.regression import ridge_path, ridge_solve

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # nengo asks numpy for a module under its old name
    import nengo
    from nengo.solvers import Lstsq, LstsqL2

SIZES = (20, 50, 100, 300)
SEEDS = 5
REG, RCOND = 1e-4, 1e-8  # of nengo's solvers; its defaults, 0.1 and 0.01, are far worse here
REPEATS = 15
LARGE = (10_000, 1000)  # points, neurons
MOST_ERROR = 1 + 1e-6  # of ours over nengo's best
MOST_TIME = 1.0  # of ours over nengo's Lstsq, in the sum over sizes
MOST_LARGE = 1.5  # of ours over scipy's gelsd

TARGET = targets.hopf()
POINTS, TEST = targets.grid(TARGET, 25), targets.grid(TARGET, 60)


def nengo_basis(n_neurons, seed):
    """The tanh neurons that nengo draws for a disc that holds the target's domain."""
    with nengo.Network(seed=seed) as model:
        ensemble = nengo.Ensemble(n_neurons, 2, neuron_type=nengo.Tanh(), radius=1.5 * np.sqrt(2))
    with nengo.Simulator(model, progress_bar=False, optimize=False) as simulator:
        drawn = simulator.data[ensemble]
        return Basis(drawn.scaled_encoders, drawn.bias)


def flow_rms(basis, n):
    """Relative root mean squared error of the flow on points that were not fitted."""
    wanted = TARGET.rhs(TEST)
    error = evaluate(basis, TEST) @ n - TEST - wanted
    return np.sqrt(np.sum(error**2) / np.sum((wanted - wanted.mean(axis=0)) ** 2))


def compare(n_neurons):
    """Median errors and times of nengo's Lstsq and LstsqL2 and of ours, without and with ridge."""
    errors, times = [], []
    for seed in range(SEEDS):
        basis = nengo_basis(n_neurons, seed)
        design, target = nef.problem(TARGET.rhs(POINTS), basis, POINTS)
        # nengo's penalty a sample is (reg max)^2 |n|^2; ours is relative to the target's variance.
        ridge = (REG * design.max()) ** 2 / target.var(axis=0).sum()
        solvers = [
            lambda d=design, t=target: Lstsq(rcond=RCOND)(d, t)[0],
            lambda d=design, t=target: LstsqL2(reg=REG)(d, t)[0],
            lambda d=design, t=target: ridge_solve(d, t).n,
            lambda d=design, t=target, r=ridge: ridge_solve(d, t, ridge=r).n,
        ]
        errors.append([flow_rms(basis, solve()) for solve in solvers])
        times.append(interleaved(solvers, REPEATS))
    return np.median(errors, axis=0), np.min(times, axis=0)


def run():
    """Print the tables; return the limits that were missed."""
    failures, total = [], np.zeros(4)
    names = ("Lstsq", "LstsqL2", "ours", "ours, ridge")
    print(f"Hopf cycle, {len(POINTS)} points, nengo's own neurons, medians of {SEEDS} seeds.")
    print(f"Relative error of the flow elsewhere; Lstsq(rcond={RCOND:g}), LstsqL2(reg={REG:g}).")
    print(
        f"{'N':>7}"
        + "".join(f"{n:>13}" for n in names)
        + "".join(f"{n + ', ms':>17}" for n in names)
    )
    for N in SIZES:
        errors, times = compare(N)
        total += times
        print(f"{N:>7}" + "".join(f"{e:>13.1e}" for e in errors)
              + "".join(f"{1e3 * t:>17.3f}" for t in times))  # fmt: skip
        for ours, theirs in ((2, 0), (3, 1)):
            if errors[ours] > MOST_ERROR * errors[theirs]:
                failures.append(f"{names[ours]} errs more than nengo's {names[theirs]} at N = {N}")
    for ours in (2, 3):
        ratio = total[ours] / total[0]
        print(f"time of {names[ours]} over nengo's Lstsq, all sizes: {ratio:.2f}")
        if ratio > MOST_TIME:
            failures.append(f"{names[ours]} takes {ratio:.2f} times nengo's Lstsq")
    return failures + large()


def large():
    """One large fit against scipy, and what choosing the ridge costs on top."""
    P, N = LARGE
    rng = np.random.default_rng(0)
    design, target = np.tanh(rng.normal(size=(P, N))), rng.normal(size=(P, 2))
    scipys, plain, rows, gram, path = interleaved(
        [
            lambda: scipy.linalg.lstsq(design, target, lapack_driver="gelsd"),
            lambda: ridge_solve(design, target),
            lambda: ridge_solve(design, target, ridge=1e-9),
            lambda: ridge_solve(design, target, ridge=1e-3),
            lambda: ridge_path(design, target),
        ],
        3,
    )
    print(f"N = {N}, P = {P}: scipy's gelsd {scipys:.2f} s; over it, ours without a ridge "
          f"{plain / scipys:.2f}, stacked rows {rows / scipys:.2f}, Gram {gram / scipys:.2f}; "
          f"choosing among {len(ridge_path(design[:9], target[:9]).ridge)} ridges "
          f"{path / scipys:.2f}")  # fmt: skip
    slow = {"without a ridge": plain, "by stacked rows": rows, "by the Gram matrix": gram}
    return [
        f"a fit {how} takes {t / scipys:.2f} times gelsd, not {MOST_LARGE}"
        for how, t in slow.items()
        if t > MOST_LARGE * scipys
    ]

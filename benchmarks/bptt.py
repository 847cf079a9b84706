"""Training steps: compiled passes against a loop of torch operations, and against bare products.

The loop is ours, in the style of published codes for low-rank networks: one Python step a time
step, the recurrence as two thin products, outputs stacked at the end, automatic differentiation.
"""

import numpy as np
import torch

from benchmarks.timing import interleaved
from lrnn.bptt import FullRank, LowRank, masked_mse, random_connectivity, random_low_rank

B, T, R, D, N_OUT = 32, 100, 2, 2, 1
DT, TAU = 0.2, 1.0
LOW_SIZES = (128, 512, 1024, 4096)
FULL_SIZES = (128, 512, 1024)
SMALL_SIZES = (3, 10, 30)
REPEATS = {3: 10, 10: 10, 30: 10, 128: 8, 512: 6, 1024: 4, 4096: 3}
STEPS = 20  # in a row, as in training: the first few find their arrays out of the cache
LEAST_LOW_RATIO = {512: 15.0}
LEAST_FULL_RATIO = {128: 2.0}
MOST_OVER_PRODUCTS = {512: 1.2, 1024: 1.2}
MOST_SMALL_MS = 1.0
MOST_GROWTH = 1.25  # of the time a number, when N, T or B grows eightfold


def loop(module, u, target):
    """One step of gradient as published codes make it; the leaves are the module's parameters."""
    a = module.dt / module.tau
    low = isinstance(module, LowRank)

    def run_loop():
        module.zero_grad()
        x = torch.zeros(len(u), module.n_neurons)
        r = torch.tanh(x + module.bias)
        outputs = [r @ module.w_out]
        for t in range(u.shape[1]):
            recurrent = (r @ module.n) @ module.m.T if low else r @ module.J.T
            x = x + a * (-x + recurrent + u[:, t] @ module.w_in.T)
            r = torch.tanh(x + module.bias)
            outputs.append(r @ module.w_out)
        torch.nn.functional.mse_loss(torch.stack(outputs, dim=1), target).backward()

    return run_loop


def ours(module, u, target):
    """The same step through the module."""

    def run_module():
        module.zero_grad()
        masked_mse(module(u), target).backward()

    return run_module


def products(N):
    """The matrix products that a full-rank step cannot avoid, and nothing else."""
    rates, J, out = torch.randn(T, B, N), torch.randn(N, N), torch.empty(B, N)
    flat, weights = rates.view(T * B, N), torch.empty(N, N)
    other = torch.randn(T * B, N)
    transposed = J.T.contiguous()

    def run_products():
        for t in range(T):
            torch.mm(rates[t], transposed, out=out)
        for t in range(T):
            torch.mm(rates[t], J, out=out)
        torch.mm(other.T, flat, out=weights)

    return run_products


def case(N, *, low, n_steps=T, n_trials=B):
    """A module, an input and a target."""
    rng = np.random.default_rng(N)
    net = random_low_rank(N, R, D, N_OUT, overlap=1.0, tau=TAU, rng=rng)
    if low:
        module = LowRank.from_network(net, dt=DT)
    else:
        J = random_connectivity(N, rng=rng)
        module = FullRank(J, w_in=net.w_in, w_out=net.w_out, tau=TAU, dt=DT)
    u = torch.tensor(rng.normal(size=(n_trials, n_steps, D)), dtype=torch.float32)
    target = torch.tensor(rng.normal(size=(n_trials, n_steps + 1, N_OUT)), dtype=torch.float32)
    return module, u, target


def milliseconds(functions, repeats):
    """Least time of a call, where each turn makes STEPS of them: training makes thousands."""

    def several(function):
        def run_several():
            for _ in range(STEPS):
                function()

        return run_several

    times = interleaved([several(function) for function in functions], repeats)
    return [1e3 * seconds / STEPS for seconds in times]


def growth(failures):
    """Print the time of a step against N, T and B, each grown eightfold."""
    base = {"N": 512, "T": 100, "B": 32}
    print("Low rank, ms a step where one of N = 512, T = 100, B = 32 grows:")
    for axis, start in base.items():
        sizes = [start, 2 * start, 4 * start, 8 * start]
        cases = [{**base, axis: size} for size in sizes]
        runs = [
            ours(*case(each["N"], low=True, n_steps=each["T"], n_trials=each["B"]))
            for each in cases
        ]
        times = milliseconds(runs, 4)
        print(
            f"{axis:>7}"
            + "".join(f"{size:>7}:{ms:>7.2f}" for size, ms in zip(sizes, times, strict=True))
        )
        ratio = times[-1] / times[0] / 8
        if ratio > MOST_GROWTH:
            failures.append(f"time grows {ratio:.2f} times faster than {axis}")


def run():
    """Print the tables; return the limits that were missed."""
    torch.set_num_threads(1)
    failures = []
    print(f"Forward and backward of mean squared error, ms; B = {B}, T = {T}, R = {R}, tanh,")
    print("float32, one thread.")
    print(f"{'low rank N':>12}{'loop':>9}{'ours':>9}{'ratio':>8}")
    for N in (*SMALL_SIZES, *LOW_SIZES):
        made = case(N, low=True)
        slow, fast = milliseconds([loop(*made), ours(*made)], REPEATS[N])
        ratio = slow / fast
        print(f"{N:>12}{slow:>9.2f}{fast:>9.2f}{ratio:>8.1f}")
        if ratio < LEAST_LOW_RATIO.get(N, 0.0):
            failures.append(
                f"low rank {ratio:.1f} times faster at N = {N}, not {LEAST_LOW_RATIO[N]:.0f}"
            )
        if N in SMALL_SIZES and fast > MOST_SMALL_MS:
            failures.append(f"low rank {fast:.2f} ms at N = {N}")
    print(f"{'full rank N':>12}{'loop':>9}{'ours':>9}{'products':>10}{'ratio':>8}{'/products':>11}")
    for N in (*SMALL_SIZES, *FULL_SIZES):
        made = case(N, low=False)
        slow, fast, bare = milliseconds([loop(*made), ours(*made), products(N)], REPEATS[N])
        ratio, over = slow / fast, fast / bare
        print(f"{N:>12}{slow:>9.2f}{fast:>9.2f}{bare:>10.2f}{ratio:>8.1f}{over:>11.2f}")
        if ratio < LEAST_FULL_RATIO.get(N, 0.0):
            failures.append(
                f"full rank {ratio:.1f} times faster at N = {N}, not {LEAST_FULL_RATIO[N]:.0f}"
            )
        if over > MOST_OVER_PRODUCTS.get(N, np.inf):
            failures.append(f"full rank {over:.2f} of the products' time at N = {N}")
    growth(failures)
    return failures

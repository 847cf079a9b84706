"""Whole sequences of a recurrent network as one step of automatic differentiation, or as a loop.

Each network is here twice: as compiled passes with a hand-written adjoint (`lrnn._kernels`), and as
plain torch operations, which run on any device and differentiate themselves. Both give the same
numbers to round-off. Time is `lrnn.simulate`'s: T inputs make T + 1 states.
"""

import functools
import importlib
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch.autograd.function import once_differentiable

PHI = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "erf": torch.erf,
    "linear": lambda x: x,
}
TORCH_PRODUCTS_FROM = (
    256  # neurons: below, what it costs to ask for a product is more than it saves
)
KEPT_UP_TO = 2**22  # numbers B T N of rates that cost less to keep than to compute again
PARALLEL_FROM = 2**21  # numbers B T N from which threads pay for being woken


class Step(NamedTuple):
    """What is fixed while a network trains.

    a : float, dt/tau; phi : str, a key of PHI; form : "current" or "rate"
    """

    a: float
    phi: str
    form: str


@functools.cache
def kernels():
    """The module `lrnn._kernels`, or None where numba is not installed."""
    try:
        return importlib.import_module("lrnn._kernels")
    except ImportError:
        return None


def why_not_kernel(step, tensors):
    """Why the compiled passes cannot run on these tensors (None where one is absent), or None."""
    present = [tensor for tensor in tensors if tensor is not None]
    if kernels() is None:
        return "numba is not installed"
    if step.phi not in kernels().KINDS:
        return f"they do not know phi = {step.phi}"
    if not all(tensor.is_cpu for tensor in present):
        return "they run on the CPU only"
    precisions = {tensor.dtype for tensor in present}
    if len(precisions) > 1 or not precisions <= {torch.float32, torch.float64}:
        names = ", ".join(sorted(str(each) for each in precisions))
        return f"they need one precision, float32 or float64, not {names}"
    return None


def leaky_sum(first, arriving, keep):
    """z_0 = first, z_{t+1} = keep z_t + arriving_t; (B, K) and (B, T, K) to (B, T + 1, K)."""
    return _LeakySum.apply(first, arriving, keep)


class _LeakySum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, first, arriving, keep):
        ctx.keep = keep
        path = torch.cat([first[:, None], arriving], dim=1)
        for t in range(1, path.shape[1]):
            path[:, t].add_(path[:, t - 1], alpha=keep)
        return path

    @staticmethod
    @once_differentiable
    def backward(ctx, adjoint):
        adjoint = adjoint.clone(memory_format=torch.contiguous_format)
        for t in range(adjoint.shape[1] - 2, -1, -1):
            adjoint[:, t].add_(adjoint[:, t + 1], alpha=ctx.keep)
        return adjoint[:, 0], adjoint[:, 1:], None


# Low rank


def low_rank(step, u, m, n, w_in, w_out, bias, *, kappa0, y0, rest, noise, kernel):
    """Latents, seen input and output of a low-rank network.

    u : (B, T, D); kappa0 : (B, R); y0 : (B, O), rate form only
    rest : (B, N), current form only: the state at t = 0 but for m kappa0; or None
    noise : (B, T, N), added to the state after each step; or None
    kernel : bool, compiled passes rather than a loop
    Returns : kappa (B, T + 1, R), v (B, T + 1, D), y (B, T + 1, O)
    """
    kick = None
    if step.form == "rate" and noise is not None:
        # Latents and outputs are projections of the state: so is the noise that they see.
        kick, noise = noise @ torch.cat([n, w_out], dim=1), None
    if kernel:
        return _LowRank.apply(step, u, m, n, w_in, w_out, bias, kappa0, y0, rest, noise, kick)
    return _low_rank_loop(step, u, m, n, w_in, w_out, bias, kappa0, y0, rest, noise, kick)


def _low_rank_loop(step, u, m, n, w_in, w_out, bias, kappa0, y0, rest, noise, kick):
    a, keep, phi = step.a, 1.0 - step.a, PHI[step.phi]
    B, T, D = u.shape
    kappa, kappas = kappa0, [kappa0]
    if step.form == "rate":
        y, ys = y0, [y0]
        for t in range(T):
            r = phi(kappa @ m.T + u[:, t] @ w_in.T + bias)
            kappa, y = keep * kappa + a * (r @ n), keep * y + a * (r @ w_out)
            if kick is not None:
                kappa = kappa + kick[:, t, : m.shape[1]]
                y = y + kick[:, t, m.shape[1] :]
            kappas.append(kappa)
            ys.append(y)
        v = torch.cat([u, u[:, -1:]], dim=1)
        return torch.stack(kappas, dim=1), v, torch.stack(ys, dim=1)
    v = leaky_sum(u.new_zeros(B, D), a * u, keep)
    z, ys = rest, []
    for t in range(T + 1):
        x = kappa @ m.T + v[:, t] @ w_in.T + bias
        r = phi(x if z is None else x + z)
        ys.append(r @ w_out)
        if t == T:
            break
        kappa = keep * kappa + a * (r @ n)
        kappas.append(kappa)
        if z is not None:
            z = keep * z
        if noise is not None:
            z = noise[:, t] if z is None else z + noise[:, t]
    return torch.stack(kappas, dim=1), v, torch.stack(ys, dim=1)


class _LowRank(torch.autograd.Function):
    @staticmethod
    def forward(ctx, step, u, m, n, w_in, w_out, bias, kappa0, y0, rest, noise, kick):
        current = step.form == "current"
        (B, T, D), (N, R), n_out = u.shape, m.shape, w_out.shape[1]
        real = u.detach().numpy().dtype
        P, Z = _rows(m, w_in, real), _rows(n, w_out, real)
        feed = np.zeros((B, T + 1, len(P)), real)
        feed[:, 0, :R] = kappa0.detach().numpy()
        if not current:
            feed[:, :T, R : R + D] = u.detach().numpy()
            feed[:, T, R : R + D] = feed[:, T - 1, R : R + D]
        y = np.empty((B, T + 1, n_out), real)
        if not current:
            y[:, 0] = y0.detach().numpy()
        powers = ((1.0 - step.a) ** np.arange(T + 1)).astype(real)
        few = len(P) == len(Z) == 4 and rest is None and B * T * N <= KEPT_UP_TO
        kept = np.empty((B, T + 1, N) if noise is not None or few else (0, 0, 0), real)
        ctx.step, ctx.sizes = step, (R, D, n_out)
        ctx.workers = _workers(B, T, N)
        ctx.arrays = P, Z, _array(bias, 1, real).copy(), feed, _array(rest, 2, real), kept, powers
        ctx.present = y0 is not None, rest is not None, noise is not None, kick is not None
        run, _ = kernels().low_rank_passes(step.phi)
        bias, rest = ctx.arrays[2], ctx.arrays[4]
        u, kick, noise = (_array(each, 3, real) for each in (u, kick, noise))

        def work(_, some):
            run(
                P, Z, bias, feed[some], y[some], u[some], kick[some], rest[some], noise[some],
                kept[some], powers, real.type(step.a), R, current,
            )  # fmt: skip

        _share(work, B, ctx.workers)
        ctx.set_materialize_grads(False)
        # A copy: what is kept for the way back must not change under the caller's hands.
        path = torch.from_numpy(feed.copy())
        return path[..., :R], path[..., R : R + D], torch.from_numpy(y)

    @staticmethod
    @once_differentiable
    def backward(ctx, g_kappa, g_v, g_y):
        P, Z, bias, feed, rest, kept, powers = ctx.arrays
        R, D, n_out = ctx.sizes
        B, T, N, real = len(feed), feed.shape[1] - 1, len(bias), feed.dtype
        has_y0, has_rest, has_noise, has_kick = ctx.present
        current = ctx.step.form == "current"
        gfeed = np.zeros((B, T + 1, R + D), real)
        if g_kappa is not None:
            gfeed[..., :R] = g_kappa.numpy()
        if g_v is not None:
            gfeed[..., R:] = g_v.numpy()
            if not current:  # v repeats the last input
                gfeed[:, T - 1, R:] += gfeed[:, T, R:]
        gy = np.zeros((B, T + 1, n_out), real) if g_y is None else _array(g_y, 3, real)
        dP, dZ = (np.zeros((ctx.workers, rows, N), real) for rows in (len(P) + 1, len(Z)))
        du, dstart = np.empty((B, T, D), real), np.empty((B, R + n_out), real)
        drest = np.zeros((B, N) if has_rest and ctx.needs_input_grad[9] else (0, 0), real)
        wants_noise = has_noise and ctx.needs_input_grad[10]
        dnoise = np.empty((B, T, N) if wants_noise else (0, 0, 0), real)
        dkick = np.empty((B, T, R + n_out) if has_kick else (0, 0, 0), real)
        _, run = kernels().low_rank_passes(ctx.step.phi)

        def work(worker, some):
            run(
                P, Z, bias, feed[some], gfeed[some], gy[some], rest[some], kept[some], powers,
                real.type(ctx.step.a), R, current, dP[worker], dZ[worker], du[some],
                dstart[some], drest[some], dnoise[some], dkick[some],
            )  # fmt: skip

        _share(work, B, ctx.workers)
        dP, dZ = (torch.from_numpy(each[0] if len(each) == 1 else each.sum(0)) for each in (dP, dZ))
        start = torch.from_numpy(dstart)
        return (
            None,
            torch.from_numpy(du),
            dP[:R].T,
            dZ[:R].T,
            dP[R : R + D].T,
            dZ[R : R + n_out].T,
            dP[R + D],
            start[:, :R],
            start[:, R:] if has_y0 else None,
            torch.from_numpy(drest) if len(drest) else None,
            torch.from_numpy(dnoise) if wants_noise else None,
            torch.from_numpy(dkick) if has_kick else None,
        )


def _rows(first, second, real):
    """The columns of two matrices as rows of one, with rows of zeros up to a multiple of four."""
    K = first.shape[1] + second.shape[1]
    rows = np.zeros((max(4, -(-K // 4) * 4), len(first)), real)
    rows[: first.shape[1]] = first.detach().numpy().T
    rows[first.shape[1] : K] = second.detach().numpy().T
    return rows


def _array(tensor, axes, real):
    """A contiguous array, or an empty one for None."""
    if tensor is None:
        return np.empty((0,) * axes, real)
    return np.ascontiguousarray(tensor.detach().numpy())


def _workers(B, T, N):
    return min(torch.get_num_threads(), B) if B * T * N >= PARALLEL_FROM else 1


def _share(work, B, workers):
    """work(worker, slice of trials) for all trials, in as many threads as there are workers."""
    edges = [worker * B // workers for worker in range(workers + 1)]
    parts = [slice(start, stop) for start, stop in pairwise(edges)]
    if workers == 1:
        work(0, parts[0])
        return
    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work, worker, some) for worker, some in enumerate(parts)]:
            done.result()


# Full rank


def full_rank(step, u, J, m, n, w_in, w_out, bias, *, state0, noise, kernel):
    """Rates (B, T + 1, N) and output (B, T + 1, O) of J + m n^T, where J or m and n may be None.

    u : (B, T, D); state0 : (B, N); noise : (B, T, N) or None; kernel : bool
    """
    if kernel:
        rates, y = _FullRank.apply(step, u, J, m, n, w_in, w_out, bias, state0, noise)
        return rates.transpose(0, 1), y.transpose(0, 1)
    rates = _full_rank_loop(step, u, J, m, n, w_in, bias, state0, noise)
    return rates, rates @ w_out


def _full_rank_loop(step, u, J, m, n, w_in, bias, state0, noise):
    a, keep, phi, current = step.a, 1.0 - step.a, PHI[step.phi], step.form == "current"
    T = u.shape[1]
    J = J if m is None else m @ n.T if J is None else J + m @ n.T
    state = state0
    rates = []
    for t in range(T + 1):
        r = phi(state + bias) if current else state
        rates.append(r)
        if t == T:
            break
        recurrent = r @ J.T + u[:, t] @ w_in.T
        state = keep * state + a * (recurrent if current else phi(recurrent + bias))
        if noise is not None:
            state = state + noise[:, t]
    return torch.stack(rates, dim=1)


@functools.cache
def _full_rank_passes(phi, N):
    """The compiled passes, or the same around torch's product, faster in large networks."""
    passes = kernels().full_rank_passes(phi)
    if N < TORCH_PRODUCTS_FROM:
        return passes
    advance_current, retreat_current, advance_rate, slope_rate, retreat_rate = passes.steps

    def forward_current(pulled, bias, path, a):
        x, recurrent = np.zeros_like(path[0]), np.zeros_like(path[0])
        product = _product(pulled, recurrent)
        for t in range(len(path)):
            if t:
                product(path[t - 1])
            advance_current(x, recurrent, path[t], bias, a)

    def backward_current(pushed, rates, adjoint, a):
        later, recurrent = np.zeros_like(rates[0]), np.zeros_like(rates[0])
        product = _product(pushed, recurrent)
        for t in range(len(rates) - 1, -1, -1):
            if t < len(rates) - 1:
                later = adjoint[t + 1]
                product(later)
            retreat_current(later, recurrent, rates[t], adjoint[t], a)

    def forward_rate(pulled, drive, path, a):
        recurrent = np.empty_like(path[0])
        product = _product(pulled, recurrent)
        for t in range(len(drive)):
            product(path[t])
            advance_rate(recurrent, drive[t], path[t], path[t + 1], a)

    def backward_rate(pushed, rates, adjoint, slopes, a):
        recurrent = np.empty_like(rates[0])
        product = _product(pushed, recurrent)
        for t in range(len(rates) - 1, -1, -1):
            slope_rate(rates[t], adjoint[t + 1], slopes[t], a)
            product(slopes[t])
            retreat_rate(adjoint[t + 1], recurrent, adjoint[t], a)

    own = forward_current, backward_current, forward_rate, backward_rate
    return type(passes)(*own, passes.steps)


def _product(weights, out):
    weights, out = torch.from_numpy(weights), torch.from_numpy(out)
    return lambda rows: torch.mm(torch.from_numpy(rows), weights, out=out)


class _FullRank(torch.autograd.Function):
    """Time comes first, so that the matrices of a step are contiguous."""

    @staticmethod
    def forward(ctx, step, u, J, m, n, w_in, w_out, bias, state0, noise):
        current, (B, T, D), N = step.form == "current", u.shape, len(bias)
        inputs = u.transpose(0, 1).reshape(T * B, D)
        whole = J if m is None else m @ n.T if J is None else torch.addmm(J, m, n.T)
        weight = whole * step.a if current else whole
        pulled = weight.detach().T.contiguous().numpy()
        passes = _full_rank_passes(step.phi, N)
        a = u.detach().numpy().dtype.type(step.a)
        path = u.new_empty(T + 1, B, N)
        path[0] = state0
        arriving = path[1:].view(T * B, N)
        if noise is not None:
            path[1:] = noise.transpose(0, 1)
        if current:
            beta = 0.0 if noise is None else 1.0
            torch.addmm(arriving, inputs, w_in.T, beta=beta, alpha=step.a, out=arriving)
            passes.forward_current(pulled, bias.detach().contiguous().numpy(), path.numpy(), a)
            slopes = None
        else:
            if noise is None:
                arriving.zero_()
            drive = torch.addmm(bias, inputs, w_in.T).view(T, B, N)
            passes.forward_rate(pulled, drive.numpy(), path.numpy(), a)
            slopes = drive
        y = path @ w_out
        ctx.step, ctx.formed = step, J is None
        ctx.save_for_backward(inputs, m, n, w_in, w_out, weight, path, slopes)
        ctx.set_materialize_grads(False)
        return path, y

    @staticmethod
    @once_differentiable
    def backward(ctx, g_rates, g_y):
        inputs, m, n, w_in, w_out, weight, path, phi = ctx.saved_tensors
        step, (T1, B, N), current = ctx.step, path.shape, ctx.step.form == "current"
        TB, a = (T1 - 1) * B, path.numpy().dtype.type(ctx.step.a)
        flat = path.view(T1 * B, N)
        dw_out = None
        if g_y is None:
            adjoint = torch.zeros_like(flat) if g_rates is None else g_rates.reshape(-1, N).clone()
        else:
            g_y = g_y.reshape(T1 * B, -1)
            dw_out = flat.T @ g_y
            adjoint = (
                g_y @ w_out.T
                if g_rates is None
                else torch.addmm(g_rates.reshape(T1 * B, N), g_y, w_out.T)
            )
        adjoint = adjoint.view(T1, B, N)
        pushed = weight.detach().contiguous().numpy()
        passes = _full_rank_passes(step.phi, N)
        if current:
            passes.backward_current(pushed, path.numpy(), adjoint.numpy(), a)
            # What reaches the argument of phi: adjoint_t - (1 - a) adjoint_{t+1}, summed over t.
            sums = adjoint.sum(dim=1)
            dbias = sums[0] + step.a * sums[1:].sum(dim=0)
            scaled, scale = adjoint[1:].view(TB, N), step.a
        else:
            slopes = torch.empty_like(phi)
            passes.backward_rate(pushed, phi.numpy(), adjoint.numpy(), slopes.numpy(), a)
            scaled, scale = slopes.view(TB, N), 1.0
            dbias = scaled.sum(dim=0)
        before = flat[:TB]
        need = ctx.needs_input_grad
        dJ = dm = dn = None
        if need[2] or ctx.formed:
            dJ = scale * (scaled.T @ before)
        if ctx.formed:
            dm, dn, dJ = dJ @ n, dJ.T @ m, None
        elif m is not None:
            dm = scale * (scaled.T @ (before @ n)) if need[3] else None
            dn = scale * (before.T @ (scaled @ m)) if need[4] else None
        du = None
        if need[1]:
            du = (scale * (scaled @ w_in)).view(T1 - 1, B, -1).transpose(0, 1)
        dw_in = scale * (scaled.T @ inputs) if need[5] else None
        dnoise = adjoint[1:].transpose(0, 1) if need[9] else None
        return None, du, dJ, dm, dn, dw_in, dw_out, dbias, adjoint[0], dnoise

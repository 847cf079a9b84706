"""Compiled forward and adjoint passes of recurrent networks over whole sequences.

What `lrnn.bptt` runs on where numba is installed; it imports this module when it first needs it.
Arrays are C-contiguous and of one precision, float32 or float64.

Low rank. Stack P = [m, w_in]^T and Z = [n, w_out]^T as rows of N neurons and feed a step with
f_t = [kappa_t, v_t]. Then r_t = phi(P^T f_t + bias) and h_t = Z r_t hold all that the latents need,
at a cost linear in N. Backwards, with A_t the adjoint of h_t,

    g_t = phi'(x_t) Z^T A_t,   dZ += A_t r_t^T,   dP += f_t g_t^T,   df_t = P g_t,

where r_t is kept if P and Z have few rows and r is not large, and computed again from f_t if not:
then tanh costs less than the memory to fill. In current form an initial state and noise outside
the span of [m, w_in] add a term z_t to x_t that obeys z_{t+1} = (1 - a) z_t + noise_t whatever the
network does; with noise r_t is kept.

Full rank. One matrix product a step each way; the states of a step are one contiguous (B, N).
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

# Sums may be reordered so that they vectorise; NaN and infinity keep their meaning, since a run
# that diverges has to show.
inner: dict[str, Any] = {
    "fastmath": {"contract", "reassoc", "nsz", "arcp", "afn"},
    "error_model": "numpy",
}
outer: dict[str, Any] = {**inner, "cache": True, "nogil": True}

TANH, RELU, SIGMOID, LINEAR = range(4)
KINDS = {"tanh": TANH, "relu": RELU, "sigmoid": SIGMOID, "linear": LINEAR}
BLOCK = 512  # neurons at a time: what one pass has computed is still in the cache for the next
GROUP = 4  # rows a pass, and trials at a time


# Nonlinearities that the compiler vectorises


@intrinsic
def _power_of_two(typingctx, rounded):
    """2^k from the bits of k + 1.5 2^52, whose lowest bits are those of k."""

    def codegen(context, builder, signature, args):
        word = ir.IntType(64)
        exponent = builder.add(builder.bitcast(args[0], word), ir.Constant(word, 1023))
        return builder.bitcast(builder.shl(exponent, ir.Constant(word, 52)), args[0].type)

    return rounded(rounded), codegen


LOG2 = math.log(2)
SHIFT = 1.5 * 2.0**52  # adding it rounds to an integer
PER_LOG2 = 2 / LOG2
# (2^f - 1)/f = ln2 + ln2^2 f/2! + ..., to a relative 1e-17 at |f| = 1/2.
EXP_SERIES = tuple(LOG2**k / math.factorial(k) for k in range(13, 0, -1))


@njit(fastmath={"contract"}, error_model="numpy")  # reordering would undo the rounding
def _tanh_double(x):
    """e/(e + 2), with e = exp(2|x|) - 1 = 2^k (2^f - 1) + (2^k - 1) and |f| <= 1/2."""
    size = abs(x)
    size = 20.0 if size > 20.0 else size  # NaN stays
    exponent = size * PER_LOG2
    rounded = exponent + SHIFT
    f = exponent - (rounded - SHIFT)
    series = EXP_SERIES[0]
    for coefficient in EXP_SERIES[1:]:
        series = series * f + coefficient
    scale = _power_of_two(rounded)
    e = scale * (series * f) + (scale - 1.0)
    return math.copysign(e / (e + 2.0), x)


# x p(x^2)/q(x^2) on |x| <= 8.4, fitted to tanh by least squares whose weights were moved towards
# the worst points until the errors were even, 1e-8; beyond, tanh is 1 to 1e-7. Highest power first.
FLAT = np.float32(8.4)
ABOVE = tuple(np.float32(c) for c in (1.428800423e-08, 2.125184019e-05, 3.533562392e-03,
                                      1.341268700e-01, 9.999999514e-01))  # fmt: skip
BELOW = tuple(np.float32(c) for c in (8.148946967e-07, 3.348461144e-04, 2.602046466e-02,
                                      4.674600062e-01, 1.0))  # fmt: skip


@njit(**inner)
def _tanh_single(x):
    x = FLAT if x > FLAT else x  # NaN stays
    x = -FLAT if x < -FLAT else x
    square = x * x
    above, below = ABOVE[0], BELOW[0]
    for coefficient in ABOVE[1:]:
        above = above * square + coefficient
    for coefficient in BELOW[1:]:
        below = below * square + coefficient
    return x * above / below


def _tanh(x):
    return math.tanh(x)


@overload(_tanh)
def _tanh_of_a_precision(x):
    if x == types.float32:
        return lambda x: _tanh_single(x)
    return lambda x: _tanh_double(x)


@njit(**inner)
def _phi(x, half, kind):
    """phi(x); half is 1/2 in the precision of x."""
    if kind == TANH:
        return _tanh(x)
    if kind == SIGMOID:
        return half + half * _tanh(half * x)
    if kind == RELU:
        return half - half if x < 0 else x  # NaN stays
    return x


@njit(**inner)
def _slope(r, half, kind):
    """phi'(x) as a function of the rate r = phi(x)."""
    if kind == TANH:
        return half + half - r * r
    if kind == SIGMOID:
        return r - r * r
    if kind == RELU:
        return half + half if r > 0 else half - half
    return half + half


# Passes over a block of neurons, four rows at a time: a pass costs what it loads and stores. They
# take whole arrays and unsigned offsets, since a slice costs a count of references and a signed
# index a test for counting from the end.

U = np.uintp


@njit(**inner)
def _combine(weights, j, k, rows, start, out, out_start, length):
    """out[out_start + i] += sum of weights[j, k + l] rows[k + l, start + i] over four rows l."""
    w0, w1, w2, w3 = weights[j, k], weights[j, k + 1], weights[j, k + 2], weights[j, k + 3]
    k = U(k)
    for i in range(U(length)):
        out[out_start + i] += (w0 * rows[k, start + i] + w1 * rows[k + U(1), start + i]) + (
            w2 * rows[k + U(2), start + i] + w3 * rows[k + U(3), start + i]
        )


@njit(**inner)
def _project(rows, start, x, row, x_start, length, out, j):
    """out[j, k] += sum of rows[k, start + i] x[row, x_start + i], from the second four rows on."""
    for k in range(GROUP, len(rows)):
        total = x.dtype.type(0)
        for i in range(U(length)):
            total += rows[U(k), start + i] * x[row, x_start + i]
        out[j, k] += total


@njit(**inner)
def _pull(A, j, Z, start, g, length):
    """g[j] <- Z^T A[j], but for the first four rows."""
    for i in range(U(length)):
        g[U(j), i] = 0
    for k in range(GROUP, len(Z), GROUP):
        w0, w1, w2, w3 = A[j, k], A[j, k + 1], A[j, k + 2], A[j, k + 3]
        for i in range(U(length)):
            g[U(j), i] += (w0 * Z[U(k), start + i] + w1 * Z[U(k + 1), start + i]) + (
                w2 * Z[U(k + 2), start + i] + w3 * Z[U(k + 3), start + i]
            )


@njit(**inner)
def _spread(weights, group, rows, start, length):
    """rows[k, start + i] += sum over the trials j of a group of weights[j, k] group[j, i]."""
    for k in range(len(rows)):
        w0, w1, w2, w3 = weights[0, k], weights[1, k], weights[2, k], weights[3, k]
        for i in range(U(length)):
            rows[U(k), start + i] += (w0 * group[U(0), i] + w1 * group[U(1), i]) + (
                w2 * group[U(2), i] + w3 * group[U(3), i]
            )


@njit(**inner)
def _rates(fed, P, base, base_start, Z, start, r, row, r_start, j, length, h, kind):
    """r[row, r_start + i] <- phi(base + four rows of P), h[j] += four rows of Z times it."""
    half = r.dtype.type(0.5)
    f0, f1, f2, f3 = fed[j, 0], fed[j, 1], fed[j, 2], fed[j, 3]
    h0 = h1 = h2 = h3 = half - half
    for i in range(U(length)):
        x = base[base_start + i] + (
            (f0 * P[U(0), start + i] + f1 * P[U(1), start + i])
            + (f2 * P[U(2), start + i] + f3 * P[U(3), start + i])
        )
        rate = _phi(x, half, kind)
        r[row, r_start + i] = rate
        h0 += Z[U(0), start + i] * rate
        h1 += Z[U(1), start + i] * rate
        h2 += Z[U(2), start + i] * rate
        h3 += Z[U(3), start + i] * rate
    h[j, 0] += h0
    h[j, 1] += h1
    h[j, 2] += h2
    h[j, 3] += h3


@njit(**inner)
def _rates_of_group(fed, P, bias, Z, start, r, first, t, r_start, length, h, kind):
    """The same for four trials, whose rates are r[first + j, t, r_start + i].

    Two passes, since one would need more registers than there are.
    """
    half = r.dtype.type(0.5)
    b0, b1, b2, b3 = first, first + U(1), first + U(2), first + U(3)
    f00, f01, f02, f03 = fed[0, 0], fed[0, 1], fed[0, 2], fed[0, 3]
    f10, f11, f12, f13 = fed[1, 0], fed[1, 1], fed[1, 2], fed[1, 3]
    f20, f21, f22, f23 = fed[2, 0], fed[2, 1], fed[2, 2], fed[2, 3]
    f30, f31, f32, f33 = fed[3, 0], fed[3, 1], fed[3, 2], fed[3, 3]
    h00 = h01 = h02 = h03 = h10 = h11 = h12 = h13 = half - half
    h20 = h21 = h22 = h23 = h30 = h31 = h32 = h33 = half - half
    for i in range(U(length)):
        at = start + i
        p0, p1, p2, p3, base = P[U(0), at], P[U(1), at], P[U(2), at], P[U(3), at], bias[at]
        r0 = _phi(base + ((f00 * p0 + f01 * p1) + (f02 * p2 + f03 * p3)), half, kind)
        r1 = _phi(base + ((f10 * p0 + f11 * p1) + (f12 * p2 + f13 * p3)), half, kind)
        r2 = _phi(base + ((f20 * p0 + f21 * p1) + (f22 * p2 + f23 * p3)), half, kind)
        r3 = _phi(base + ((f30 * p0 + f31 * p1) + (f32 * p2 + f33 * p3)), half, kind)
        r[b0, t, r_start + i] = r0
        r[b1, t, r_start + i] = r1
        r[b2, t, r_start + i] = r2
        r[b3, t, r_start + i] = r3
    for i in range(U(length)):
        at = start + i
        r0, r1 = r[b0, t, r_start + i], r[b1, t, r_start + i]
        r2, r3 = r[b2, t, r_start + i], r[b3, t, r_start + i]
        z0, z1, z2, z3 = Z[U(0), at], Z[U(1), at], Z[U(2), at], Z[U(3), at]
        h00 += z0 * r0
        h01 += z1 * r0
        h02 += z2 * r0
        h03 += z3 * r0
        h10 += z0 * r1
        h11 += z1 * r1
        h12 += z2 * r1
        h13 += z3 * r1
        h20 += z0 * r2
        h21 += z1 * r2
        h22 += z2 * r2
        h23 += z3 * r2
        h30 += z0 * r3
        h31 += z1 * r3
        h32 += z2 * r3
        h33 += z3 * r3
    h[0, 0], h[0, 1], h[0, 2], h[0, 3] = h[0, 0] + h00, h[0, 1] + h01, h[0, 2] + h02, h[0, 3] + h03
    h[1, 0], h[1, 1], h[1, 2], h[1, 3] = h[1, 0] + h10, h[1, 1] + h11, h[1, 2] + h12, h[1, 3] + h13
    h[2, 0], h[2, 1], h[2, 2], h[2, 3] = h[2, 0] + h20, h[2, 1] + h21, h[2, 2] + h22, h[2, 3] + h23
    h[3, 0], h[3, 1], h[3, 2], h[3, 3] = h[3, 0] + h30, h[3, 1] + h31, h[3, 2] + h32, h[3, 3] + h33


@njit(**inner)
def _slopes(fed, P, base, base_start, A, Z, start, r, g, j, length, df, kind):
    """r[j] as in `_rates`, g[j] <- (four rows of Z) phi'(r), df[j] += four rows of P times g.

    base None: r is there already. g is added to if Z has more rows.
    """
    half = r.dtype.type(0.5)
    f0, f1, f2, f3 = fed[j, 0], fed[j, 1], fed[j, 2], fed[j, 3]
    a0, a1, a2, a3 = A[j, 0], A[j, 1], A[j, 2], A[j, 3]
    d0 = d1 = d2 = d3 = half - half
    if len(base):
        for i in range(U(length)):
            x = base[base_start + i] + (
                (f0 * P[U(0), start + i] + f1 * P[U(1), start + i])
                + (f2 * P[U(2), start + i] + f3 * P[U(3), start + i])
            )
            r[U(j), i] = _phi(x, half, kind)
    if len(Z) == GROUP:
        for i in range(U(length)):
            g[U(j), i] = half - half
    for i in range(U(length)):
        pulled = g[U(j), i] + (
            (a0 * Z[U(0), start + i] + a1 * Z[U(1), start + i])
            + (a2 * Z[U(2), start + i] + a3 * Z[U(3), start + i])
        )
        slope = pulled * _slope(r[U(j), i], half, kind)
        g[U(j), i] = slope
        d0 += P[U(0), start + i] * slope
        d1 += P[U(1), start + i] * slope
        d2 += P[U(2), start + i] * slope
        d3 += P[U(3), start + i] * slope
    df[j, 0] += d0
    df[j, 1] += d1
    df[j, 2] += d2
    df[j, 3] += d3


@njit(**inner)
def _adjoint(A, fed, P, Z, kept, b, t, start, length, g, dP, dZ, df, kind):
    """A step of the adjoint for four trials from b on, where P and Z have four rows.

    g <- (Z^T A) phi'(r), dZ += A r^T, dP += fed g^T with the bias as fifth row, df += P g. In two
    passes because one would touch more arrays than the compiler checks for overlap.
    """
    half = P.dtype.type(0.5)
    a00, a01, a02, a03 = A[0, 0], A[0, 1], A[0, 2], A[0, 3]
    a10, a11, a12, a13 = A[1, 0], A[1, 1], A[1, 2], A[1, 3]
    a20, a21, a22, a23 = A[2, 0], A[2, 1], A[2, 2], A[2, 3]
    a30, a31, a32, a33 = A[3, 0], A[3, 1], A[3, 2], A[3, 3]
    for i in range(U(length)):
        at = start + i
        z0, z1, z2, z3 = Z[U(0), at], Z[U(1), at], Z[U(2), at], Z[U(3), at]
        r0, r1 = kept[b, t, at], kept[b + U(1), t, at]
        r2, r3 = kept[b + U(2), t, at], kept[b + U(3), t, at]
        g[U(0), i] = ((a00 * z0 + a01 * z1) + (a02 * z2 + a03 * z3)) * _slope(r0, half, kind)
        g[U(1), i] = ((a10 * z0 + a11 * z1) + (a12 * z2 + a13 * z3)) * _slope(r1, half, kind)
        g[U(2), i] = ((a20 * z0 + a21 * z1) + (a22 * z2 + a23 * z3)) * _slope(r2, half, kind)
        g[U(3), i] = ((a30 * z0 + a31 * z1) + (a32 * z2 + a33 * z3)) * _slope(r3, half, kind)
        dZ[U(0), at] += (a00 * r0 + a10 * r1) + (a20 * r2 + a30 * r3)
        dZ[U(1), at] += (a01 * r0 + a11 * r1) + (a21 * r2 + a31 * r3)
        dZ[U(2), at] += (a02 * r0 + a12 * r1) + (a22 * r2 + a32 * r3)
        dZ[U(3), at] += (a03 * r0 + a13 * r1) + (a23 * r2 + a33 * r3)
    f00, f01, f02, f03, f04 = fed[0, 0], fed[0, 1], fed[0, 2], fed[0, 3], fed[0, 4]
    f10, f11, f12, f13, f14 = fed[1, 0], fed[1, 1], fed[1, 2], fed[1, 3], fed[1, 4]
    f20, f21, f22, f23, f24 = fed[2, 0], fed[2, 1], fed[2, 2], fed[2, 3], fed[2, 4]
    f30, f31, f32, f33, f34 = fed[3, 0], fed[3, 1], fed[3, 2], fed[3, 3], fed[3, 4]
    d00 = d01 = d02 = d03 = d10 = d11 = d12 = d13 = half - half
    d20 = d21 = d22 = d23 = d30 = d31 = d32 = d33 = half - half
    for i in range(U(length)):
        at = start + i
        p0, p1, p2, p3 = P[U(0), at], P[U(1), at], P[U(2), at], P[U(3), at]
        g0, g1, g2, g3 = g[U(0), i], g[U(1), i], g[U(2), i], g[U(3), i]
        dP[U(0), at] += (f00 * g0 + f10 * g1) + (f20 * g2 + f30 * g3)
        dP[U(1), at] += (f01 * g0 + f11 * g1) + (f21 * g2 + f31 * g3)
        dP[U(2), at] += (f02 * g0 + f12 * g1) + (f22 * g2 + f32 * g3)
        dP[U(3), at] += (f03 * g0 + f13 * g1) + (f23 * g2 + f33 * g3)
        dP[U(4), at] += (f04 * g0 + f14 * g1) + (f24 * g2 + f34 * g3)
        d00 += g0 * p0
        d01 += g0 * p1
        d02 += g0 * p2
        d03 += g0 * p3
        d10 += g1 * p0
        d11 += g1 * p1
        d12 += g1 * p2
        d13 += g1 * p3
        d20 += g2 * p0
        d21 += g2 * p1
        d22 += g2 * p2
        d23 += g2 * p3
        d30 += g3 * p0
        d31 += g3 * p1
        d32 += g3 * p2
        d33 += g3 * p3
    df[0, 0], df[0, 1], df[0, 2], df[0, 3] = (
        df[0, 0] + d00,
        df[0, 1] + d01,
        df[0, 2] + d02,
        df[0, 3] + d03,
    )
    df[1, 0], df[1, 1], df[1, 2], df[1, 3] = (
        df[1, 0] + d10,
        df[1, 1] + d11,
        df[1, 2] + d12,
        df[1, 3] + d13,
    )
    df[2, 0], df[2, 1], df[2, 2], df[2, 3] = (
        df[2, 0] + d20,
        df[2, 1] + d21,
        df[2, 2] + d22,
        df[2, 3] + d23,
    )
    df[3, 0], df[3, 1], df[3, 2], df[3, 3] = (
        df[3, 0] + d30,
        df[3, 1] + d31,
        df[3, 2] + d32,
        df[3, 3] + d33,
    )


@functools.cache
def low_rank_passes(phi):
    """The forward and the adjoint pass with the nonlinearity of that name.

    They release Python's lock, so that several threads can have some of the trials each.
    """
    kind = KINDS[phi]

    @njit(**outer)
    def forward(P, Z, bias, feed, y, u, kick, rest, noise, kept, powers, a, R, current):
        B, T, D = u.shape
        n_out = y.shape[2]
        N = len(bias)
        step, keep = a, P.dtype.type(1) - a
        more = len(noise) > 0 or len(rest) > 0 or len(P) > GROUP
        fits = not more and len(Z) == GROUP
        scratch = np.empty((GROUP, 1, BLOCK), P.dtype)
        rates = kept if len(kept) else scratch
        base_row = np.empty(BLOCK, P.dtype)
        base = base_row if more else bias
        fed, h = np.empty((GROUP, len(P)), P.dtype), np.empty((GROUP, len(Z)), P.dtype)
        z = np.zeros((GROUP, N) if len(noise) else (0, 0), P.dtype)
        for first in range(0, B, GROUP):
            members = min(GROUP, B - first)
            if len(noise):
                z[:] = 0
                if len(rest):
                    z[:members] = rest[first : first + members]
            for t in range(T + 1 if current else T):
                for j in range(members):
                    for k in range(len(P)):
                        fed[j, k] = feed[first + j, t, k]
                    for k in range(len(Z)):
                        h[j, k] = 0
                for start in range(0, N, BLOCK):
                    length = min(BLOCK, N - start)
                    at, row = (U(start), U(t)) if len(kept) else (U(0), U(0))
                    if fits and members == GROUP:
                        _rates_of_group(
                            fed, P, bias, Z, U(start), rates, U(first) if len(kept) else U(0), row,
                            at, length, h, kind,
                        )  # fmt: skip
                        continue
                    for j in range(members):
                        b = first + j
                        if more:
                            for i in range(U(length)):
                                base_row[i] = bias[U(start) + i]
                            for k in range(GROUP, len(P), GROUP):
                                _combine(fed, j, k, P, U(start), base_row, U(0), length)
                            if len(noise):
                                for i in range(U(length)):
                                    base_row[i] += z[U(j), U(start) + i]
                            elif len(rest):
                                for i in range(U(length)):
                                    base_row[i] += powers[t] * rest[U(b), U(start) + i]
                        base_start = U(0) if more else U(start)
                        own = rates[b if len(kept) else 0]
                        _rates(
                            fed, P, base, base_start, Z, U(start), own, row, at, j, length, h, kind
                        )
                        _project(Z, U(start), own, row, at, length, h, j)
                for j in range(members):
                    b = first + j
                    if len(noise) and t < T:
                        for i in range(U(N)):
                            z[U(j), i] = keep * z[U(j), i] + noise[U(b), U(t), i]
                    if current:
                        for k in range(n_out):
                            y[b, t, k] = h[j, R + k]
                        if t == T:
                            continue
                        for k in range(D):
                            feed[b, t + 1, R + k] = keep * feed[b, t, R + k] + step * u[b, t, k]
                    else:
                        for k in range(n_out):
                            y[b, t + 1, k] = keep * y[b, t, k] + step * h[j, R + k]
                    for k in range(R):
                        feed[b, t + 1, k] = keep * feed[b, t, k] + step * h[j, k]
                    if len(kick):
                        for k in range(R):
                            feed[b, t + 1, k] += kick[b, t, k]
                        for k in range(n_out):
                            y[b, t + 1, k] += kick[b, t, R + k]

    @njit(**outer)
    def backward(
        P, Z, bias, feed, gfeed, gy, rest, kept, powers, a, R, current,
        dP, dZ, du, dstart, drest, dnoise, dkick,
    ):  # fmt: skip
        B, T, D = du.shape
        n_out = gy.shape[2]
        N = len(bias)
        step, keep = a, P.dtype.type(1) - a
        more = len(kept) == 0 and (len(rest) > 0 or len(P) > GROUP)
        n_groups = (B + GROUP - 1) // GROUP
        fits = len(kept) > 0 and len(P) == GROUP and len(Z) == GROUP
        fits = fits and len(drest) == 0 and len(dnoise) == 0
        rows, slopes = np.zeros((GROUP, BLOCK), P.dtype), np.zeros((GROUP, BLOCK), P.dtype)
        base_row = np.empty(0 if len(kept) else BLOCK, P.dtype)
        base = base_row if more or len(kept) else bias
        A, fed = np.zeros((GROUP, len(Z)), P.dtype), np.zeros((GROUP, len(P) + 1), P.dtype)
        df = np.zeros((GROUP, len(P)), P.dtype)
        later = np.empty((GROUP, R + D + n_out), P.dtype)  # adjoint of [kappa, v, y] at t + 1
        for group in range(n_groups):
            first = group * GROUP
            members = min(GROUP, B - first)
            if members < GROUP:
                rows[members:] = 0
                slopes[members:] = 0
                A[members:] = 0
                fed[members:] = 0
            later[:] = 0
            if not current:
                for j in range(members):
                    later[j, :R] = gfeed[first + j, T, :R]
                    later[j, R + D :] = gy[first + j, T]
            for t in range(T if current else T - 1, -1, -1):
                for j in range(members):
                    for k in range(R):
                        A[j, k] = step * later[j, k]
                    for k in range(n_out):
                        A[j, R + k] = gy[first + j, t, k] if current else step * later[j, R + D + k]
                    for k in range(len(P)):
                        fed[j, k] = feed[first + j, t, k]
                        df[j, k] = 0
                    fed[j, R + D] = 1  # the weight of the bias in dP; P itself has zeros there
                for start in range(0, N, BLOCK):
                    length = min(BLOCK, N - start)
                    base_start = U(0) if more else U(start)
                    if fits and members == GROUP:
                        _adjoint(
                            A, fed, P, Z, kept, U(first), U(t), U(start), length, slopes, dP, dZ,
                            df, kind,
                        )  # fmt: skip
                        continue
                    for j in range(members):
                        b = first + j
                        if len(kept):
                            for i in range(U(length)):
                                rows[U(j), i] = kept[U(b), U(t), U(start) + i]
                        elif more:
                            for i in range(U(length)):
                                base_row[i] = bias[U(start) + i]
                            for k in range(GROUP, len(P), GROUP):
                                _combine(fed, j, k, P, U(start), base_row, U(0), length)
                            if len(rest):
                                for i in range(U(length)):
                                    base_row[i] += powers[t] * rest[U(b), U(start) + i]
                        if len(Z) > GROUP:
                            _pull(A, j, Z, U(start), slopes, length)
                        _slopes(
                            fed, P, base, base_start, A, Z, U(start), rows, slopes, j, length,
                            df, kind,
                        )  # fmt: skip
                        _project(P, U(start), slopes, U(j), U(0), length, df, j)
                        if len(drest):
                            for i in range(U(length)):
                                drest[U(b), U(start) + i] += powers[t] * slopes[U(j), i]
                        if len(dnoise) and t > 0:
                            last = t == T
                            for i in range(U(length)):
                                dnoise[U(b), U(t - 1), U(start) + i] = slopes[U(j), i]
                            if not last:
                                for i in range(U(length)):
                                    dnoise[U(b), U(t - 1), U(start) + i] += (
                                        keep * dnoise[U(b), U(t), U(start) + i]
                                    )
                    _spread(A, rows, dZ, U(start), length)
                    _spread(fed, slopes, dP, U(start), length)
                for j in range(members):
                    b = first + j
                    if current:
                        if t < T:
                            for k in range(D):
                                du[b, t, k] = step * later[j, R + k]
                        for k in range(R + D):
                            later[j, k] = keep * later[j, k] + df[j, k] + gfeed[b, t, k]
                        continue
                    for k in range(D):
                        du[b, t, k] = df[j, R + k] + gfeed[b, t, R + k]
                    if len(dkick):
                        for k in range(R):
                            dkick[b, t, k] = later[j, k]
                        for k in range(n_out):
                            dkick[b, t, R + k] = later[j, R + D + k]
                    for k in range(R):
                        later[j, k] = keep * later[j, k] + df[j, k] + gfeed[b, t, k]
                    for k in range(n_out):
                        later[j, R + D + k] = keep * later[j, R + D + k] + gy[b, t, k]
            for j in range(members):
                for k in range(R):
                    dstart[first + j, k] = later[j, k]
                for k in range(n_out):
                    dstart[first + j, R + k] = later[j, R + D + k]

    return forward, backward


class FullRankPasses(NamedTuple):
    """The passes over a whole sequence, and what a step of each does beside its product.

    `pulled` (N, N) is J^T or a J^T, `pushed` J or a J: what rates or adjoints are multiplied with.
    All other arrays are (T + 1, B, N) or (T, B, N), or (B, N) in a step, and are overwritten.
    """

    forward_current: Callable
    backward_current: Callable
    forward_rate: Callable
    backward_rate: Callable
    steps: tuple


@functools.cache
def full_rank_passes(phi):
    """The `FullRankPasses` of the nonlinearity of that name."""
    kind = KINDS[phi]

    @njit(**outer)
    def advance_current(x, recurrent, r, bias, a):
        """x <- (1 - a) x + recurrent + r; r <- phi(x + bias)."""
        keep, half = x.dtype.type(1) - a, x.dtype.type(0.5)
        for b in range(U(x.shape[0])):
            for i in range(U(x.shape[1])):
                current = keep * x[b, i] + recurrent[b, i] + r[b, i]
                x[b, i] = current
                r[b, i] = _phi(current + bias[i], half, kind)

    @njit(**outer)
    def retreat_current(later, recurrent, r, own, a):
        """own <- (1 - a) later + phi' (own + recurrent)."""
        keep, half = r.dtype.type(1) - a, r.dtype.type(0.5)
        for b in range(U(r.shape[0])):
            for i in range(U(r.shape[1])):
                own[b, i] = keep * later[b, i] + _slope(r[b, i], half, kind) * (
                    own[b, i] + recurrent[b, i]
                )

    @njit(**outer)
    def advance_rate(recurrent, r, now, after, a):
        """r <- phi(r + recurrent); after <- after + (1 - a) now + a r."""
        keep, half = r.dtype.type(1) - a, r.dtype.type(0.5)
        for b in range(U(r.shape[0])):
            for i in range(U(r.shape[1])):
                rate = _phi(r[b, i] + recurrent[b, i], half, kind)
                r[b, i] = rate
                after[b, i] += keep * now[b, i] + a * rate

    @njit(**outer)
    def slope_rate(r, later, g, a):
        """g <- a phi' later."""
        half = r.dtype.type(0.5)
        for b in range(U(r.shape[0])):
            for i in range(U(r.shape[1])):
                g[b, i] = a * _slope(r[b, i], half, kind) * later[b, i]

    @njit(**outer)
    def retreat_rate(later, recurrent, own, a):
        """own <- own + (1 - a) later + recurrent."""
        keep = own.dtype.type(1) - a
        for b in range(U(own.shape[0])):
            for i in range(U(own.shape[1])):
                own[b, i] += keep * later[b, i] + recurrent[b, i]

    @njit(**outer)
    def forward_current(pulled, bias, path, a):
        """path: x_0 and then what each step adds to x; becomes phi(x + bias)."""
        x, recurrent = np.zeros_like(path[0]), np.zeros_like(path[0])
        for t in range(len(path)):
            if t:
                np.dot(path[t - 1], pulled, recurrent)
            advance_current(x, recurrent, path[t], bias, a)

    @njit(**outer)
    def backward_current(pushed, rates, adjoint, a):
        """adjoint: of the rates, becomes that of x."""
        later, recurrent = np.zeros_like(rates[0]), np.zeros_like(rates[0])
        for t in range(len(rates) - 1, -1, -1):
            if t < len(rates) - 1:
                later = adjoint[t + 1]
                np.dot(later, pushed, recurrent)
            retreat_current(later, recurrent, rates[t], adjoint[t], a)

    @njit(**outer)
    def forward_rate(pulled, drive, path, a):
        """drive: bias and input, becomes phi; path: h_0 and then what each step adds, becomes h."""
        recurrent = np.empty_like(path[0])
        for t in range(len(drive)):
            np.dot(path[t], pulled, recurrent)
            advance_rate(recurrent, drive[t], path[t], path[t + 1], a)

    @njit(**outer)
    def backward_rate(pushed, rates, adjoint, slopes, a):
        """adjoint: of h as output, becomes that of h; slopes: become those of phi's argument."""
        recurrent = np.empty_like(rates[0])
        for t in range(len(rates) - 1, -1, -1):
            slope_rate(rates[t], adjoint[t + 1], slopes[t], a)
            np.dot(slopes[t], pushed, recurrent)
            retreat_rate(adjoint[t + 1], recurrent, adjoint[t], a)

    steps = advance_current, retreat_current, advance_rate, slope_rate, retreat_rate
    return FullRankPasses(forward_current, backward_current, forward_rate, backward_rate, steps)

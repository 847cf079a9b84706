"""Networks whose neurons stand for the regions of a brain, started from its connectome.

The fMRI framework's network, in rate form with a leak a, from one frame to the next:

    h[t + 1] = (1 - a) h[t] + a tanh(J h[t] + w_in u[t]),    J = m n^T,    x = w_out^T h.

Near rest it moves x by A = (1 - a) I + a J: its connectome is A, not J. The framework writes J as
m n^T + M N^T, of rank 1 + r; that is one product of stacked factors, here always m n^T of rank
R = r + 1, in which every mode is counted once. `lrnn.bptt.LowRank.from_network` trains it.

A scan of standard deviation 1 drives tanh far from rest; scale it down to stay near the matrix.
"""

import numpy as np

from lrnn._check import finite_array, positive, whole
from lrnn.connectivity import histories, reduced_rank
from lrnn.network import LowRankRNN
from lrnn.tasks import Trials


def truncated_factors(matrix, rank):
    """The nearest m n^T of a rank to a matrix, by singular value decomposition U S V^T.

    m = U_R sqrt(S_R), n = V_R sqrt(S_R), as the framework starts from a connectome: it passes A for
    `matrix`, which has the leak in it twice; see `without_leak`.

    matrix : (n, n), [target, source]
    rank : int, 1 to n
    Returns : m, n, each (n, rank)
    Raises : ValueError if the matrix is not square or finite, or rank is out of range
    """
    matrix = finite_array("matrix", matrix, (len(matrix), len(matrix)))
    if whole("rank", rank) > len(matrix):
        raise ValueError(f"rank must be at most the {len(matrix)} regions, got {rank}")
    u, sigma, vt = np.linalg.svd(matrix)
    root = np.sqrt(sigma[:rank])
    return u[:, :rank] * root, vt[:rank].T * root


def without_leak(matrix, leak):
    """J = (A - (1 - a) I)/a, the recurrent matrix with which a network has the connectome A.

    matrix : (n, n), A[target, source], from one frame to the next
    leak : float, a, in (0, 1]
    Raises : ValueError if the matrix is not square or finite, or leak is out of range
    """
    matrix = finite_array("matrix", matrix, (len(matrix), len(matrix)))
    leak = _leak(leak)
    return (matrix - (1 - leak) * np.eye(len(matrix))) / leak


def fitted_factors(scan, rank, *, leak, ridge=0.0):
    """The m n^T of a rank with which a network near rest predicts the next frame best.

    Reduced-rank regression of x[t + 1] - (1 - a) x[t] on x[t], over a; see `lrnn.connectivity`.

    scan : Scan, its regions of mean 0: the network has no offset
    rank : int, 1 to n; leak : float, a, in (0, 1]
    ridge : float >= 0, as for `lrnn.connectivity.reduced_rank`
    Returns : m, n, each (n, rank)
    Raises : ValueError if an argument is out of range, or as `reduced_rank`
    """
    memory = 1 - _leak(leak)
    matrix = reduced_rank(scan, rank=whole("rank", rank), ridge=ridge, memory=memory).matrix
    return truncated_factors(without_leak(matrix, leak), rank)


def random_factors(n_regions, sigma, *, rng):
    """An m n^T with given singular values and directions at random: the control of a connectome.

    sigma : (R,), >= 0, R <= n_regions
    rng : numpy Generator
    Returns : m, n, each (n_regions, R)
    Raises : ValueError if a singular value is negative or there are too many
    """
    sigma = finite_array("sigma", sigma, ("R",))
    if (sigma < 0).any() or len(sigma) > whole("n_regions", n_regions):
        raise ValueError(f"sigma must be at most {n_regions} numbers >= 0, got {sigma.tolist()}")
    u, v = (np.linalg.qr(rng.standard_normal((n_regions, len(sigma))))[0] for _ in range(2))
    return u * np.sqrt(sigma), v * np.sqrt(sigma)


def assignment(n_neurons, n_regions):
    """Neuron i stands for region i mod n: an encoder E (N, n) with a single 1 in each row.

    With it N neurons do exactly what n do. In training too: neurons alike in all weights stay
    alike, unless rows of E differ in size, say.

    Raises : ValueError if there are fewer neurons than regions
    """
    if whole("n_neurons", n_neurons) < whole("n_regions", n_regions):
        raise ValueError(f"n_neurons must be at least the {n_regions} regions, got {n_neurons}")
    return np.eye(n_regions)[np.arange(n_neurons) % n_regions]


def regional_network(m, n, *, leak, tr, encoder=None):
    """The network that has J = E (m n^T) E^+ on neurons h = E x, with E^+ the pseudo-inverse of E.

    Inputs are pushes of the regions, w_in = E, and outputs their signals, w_out^T = E^+. Fewer
    neurons than regions can be had too, E being the leading principal axes, say; what E drops is
    then 0 in the output.

    m, n : (n, R), the recurrent matrix between regions
    leak : float, a, in (0, 1], a frame
    tr : float, s, from one frame to the next; the network has tau = tr/leak
    encoder : (N, n), E, of full rank; one neuron a region without it
    Returns : LowRankRNN of N neurons, in rate form
    Raises : ValueError if a shape disagrees, E lacks rank, or a number is out of range
    """
    m = finite_array("m", m, ("n", "R"))
    n = finite_array("n", n, m.shape)
    encoder = finite_array("encoder", np.eye(len(m)) if encoder is None else encoder, ("N", len(m)))
    if np.linalg.matrix_rank(encoder) < min(encoder.shape):
        raise ValueError("encoder must have full rank")
    decoder = np.linalg.pinv(encoder).T
    return LowRankRNN(
        encoder @ m, decoder @ n, w_in=encoder, w_out=decoder,
        tau=positive("tr", tr) / _leak(leak), phi="tanh", form="rate",
    )  # fmt: skip


def forecast_trials(scan, encoder=None, *, horizon=1):
    """The task of predicting the next frames of a scan from one, left alone.

    condition : "state0" (B, N), E x[t]; `lrnn.training.trial_loss` starts there

    scan : Scan of n regions
    encoder : (N, n), as for `regional_network`
    horizon : int >= 1, frames to predict
    Returns : Trials, one a window, with inputs of zero
    Raises : ValueError if the encoder's shape disagrees, or as `histories`
    """
    regions = scan.n_regions
    encoder = finite_array(
        "encoder", np.eye(regions) if encoder is None else encoder, ("N", regions)
    )
    window, after = histories(scan, frames=horizon)
    targets = np.concatenate([window[:, 1:], after[:, None]], axis=1)
    return Trials(
        np.zeros_like(targets), targets, np.ones(targets.shape, dtype=bool), scan.tr,
        {"state0": window[:, 0] @ encoder.T},
    )  # fmt: skip


def _leak(leak):
    if not 0 < leak <= 1:
        raise ValueError(f"leak must be in (0, 1], got {leak!r}")
    return leak

"""Ridge regression against scikit-learn, the definition written out, and refitting."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV

from lrnn import regression
from lrnn.basis import evaluate, gaussian_basis


def problem(seed, *, P=300, N=40, R=2, weights=False):
    """A well-conditioned random regression: design, target, weights or None."""
    rng = np.random.default_rng(seed)
    design, target = rng.normal(size=(P, N)), rng.normal(size=(P, R))
    return design, target, rng.uniform(0, 3, size=P) if weights else None


def objective(design, target, n, ridge, weights):
    """The definition, written out."""
    P = len(design)
    w = np.ones(P) if weights is None else weights / weights.mean()
    mean = (w[:, None] * target).mean(axis=0)
    variance = (w[:, None] * (target - mean) ** 2).mean(axis=0).sum()
    error = (w[:, None] * (design @ n - target) ** 2).mean(axis=0).sum()
    return error + ridge * variance * np.sum(n**2), variance


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("ridge", [0.0, 1e-13, 1e-3, 10.0])
def test_the_solution_minimises_the_objective(ridge, weights):
    design, target, w = problem(0, weights=weights)
    n = regression.ridge_solve(design, target, ridge=ridge, weights=w).n
    least, _ = objective(design, target, n, ridge, w)
    rng = np.random.default_rng(1)
    for size in (1e-1, 1e-3):
        for _ in range(10):
            moved = n + size * rng.normal(size=n.shape)
            assert objective(design, target, moved, ridge, w)[0] > least


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("ridge", [1e-10, 1e-4, 1.0])
@pytest.mark.parametrize("P", [300, 25])  # more points than neurons, and fewer
def test_ridge_is_that_of_scikit_learn_in_other_units(ridge, weights, P):
    design, target, w = problem(2, P=P, weights=weights)
    _, variance = objective(design, target, np.zeros((40, 2)), 0, w)
    w_sum = None if w is None else w / w.mean()
    theirs = Ridge(P * ridge * variance, fit_intercept=False, solver="svd")
    theirs.fit(design, target, sample_weight=w_sum)
    n = regression.ridge_solve(design, target, ridge=ridge, weights=w).n
    # Condition numbers below 10: both are exact to rounding.
    np.testing.assert_allclose(n, theirs.coef_.T, rtol=1e-10)


def test_the_gram_matrix_and_stacked_rows_give_the_same(monkeypatch):
    """An ill-conditioned design at the ridge where the bound is just met."""
    rng = np.random.default_rng(3)
    kappa = rng.uniform(-2, 2, size=(500, 1))
    design = evaluate(gaussian_basis(60, 1, rng=rng), kappa)
    target = kappa**3
    ridge = 1.1 * np.vdot(design, design) / regression.GRAM_LIMIT / len(target) / target.var()
    gram = regression.ridge_solve(design, target, ridge=ridge)
    monkeypatch.setattr(regression, "GRAM_LIMIT", 0.0)
    rows = regression.ridge_solve(design, target, ridge=ridge)
    assert gram.rank == rows.rank == 60
    # 1e8 squared condition times the unit of rounding, 1e-16, with a factor of ten for constants.
    np.testing.assert_allclose(gram.n, rows.n, atol=1e-7 * np.abs(rows.n).max())
    scale = np.abs(target).max()
    np.testing.assert_allclose(design @ gram.n, design @ rows.n, atol=1e-9 * scale)
    # One is estimated from a matrix, the other from its square: a factor sqrt(N) each.
    assert rows.condition / 60 < gram.condition < rows.condition * 60


def test_condition_is_that_of_the_stacked_rows():
    design, target, _ = problem(4, P=50, N=10)
    solved = regression.ridge_solve(design, target)
    assert solved.condition == pytest.approx(np.linalg.cond(design), rel=1e-10)
    tiny = 1e-12
    stacked = np.vstack([design, np.sqrt(50 * tiny * target.var(axis=0).sum()) * np.eye(10)])
    # With a ridge it is estimated, from below, in the 1-norm of the triangular factor.
    triangle = np.linalg.qr(stacked, mode="r")
    exact = np.linalg.cond(triangle, p=1)
    assert (
        exact / 3
        < regression.ridge_solve(design, target, ridge=tiny).condition
        <= exact * (1 + 1e-9)
    )


@pytest.mark.parametrize("weights", [False, True])
def test_the_path_is_the_solver_at_every_ridge(weights):
    design, target, w = problem(5, weights=weights)
    ridges = np.logspace(-6, 2, 9)
    path = regression.ridge_path(design, target, ridges=ridges, weights=w)
    unit = np.ones(len(design)) if w is None else w / w.mean()
    for k, ridge in enumerate(ridges):
        n = regression.ridge_solve(design, target, ridge=ridge, weights=w).n
        mse = np.sum(unit[:, None] * (design @ n - target) ** 2) / len(design)
        assert path.mse[k] == pytest.approx(mse, rel=1e-9)
        assert path.weight_norm[k] == pytest.approx(np.linalg.norm(n), rel=1e-9)


def test_the_gcv_choice_is_that_of_scikit_learn():
    """RidgeCV's efficient leave-one-out differs from GCV by the spread of leverages only."""
    rng = np.random.default_rng(6)
    design = rng.normal(size=(400, 30))
    target = design @ rng.normal(size=(30, 1)) + 8 * rng.normal(size=(400, 1))
    ridges = np.logspace(-5, 2, 29)
    path = regression.ridge_path(design, target, ridges=ridges)
    alphas = ridges * len(target) * target.var()
    theirs = RidgeCV(alphas, fit_intercept=False).fit(design, target[:, 0]).alpha_
    chosen = int(np.argmin(abs(alphas - theirs)))
    assert abs(chosen - int(np.argmin(path.gcv))) <= 1  # one step of the grid
    assert not path.at_edge
    freedom = [
        np.trace(design @ np.linalg.solve(design.T @ design + a * np.eye(30), design.T))
        for a in alphas
    ]
    np.testing.assert_allclose(path.freedom, freedom, rtol=1e-9)
    # The score itself, by its definition.
    defined = path.mse / (1 - np.array(freedom) / 400) ** 2
    np.testing.assert_allclose(path.gcv, defined, rtol=1e-9)


def test_holding_out_is_refitting_without_each_group():
    design, target, _ = problem(16, P=90, N=12)
    groups, ridges = np.arange(90) % 5, np.array([1e-3, 1e-1, 10.0])
    held = regression.hold_out(design, target, groups, ridges=ridges)
    for k, ridge in enumerate(ridges):
        loss = 0.0
        for g in range(5):
            out = groups == g
            # The penalty a point is that of the whole problem, not of its part.
            own = ridge * target.var(axis=0).sum() / target[~out].var(axis=0).sum()
            n = regression.ridge_solve(design[~out], target[~out], ridge=own).n
            loss += np.sum((design[out] @ n - target[out]) ** 2)
        assert held.mse[k] == pytest.approx(loss / 90, rel=1e-9)
    assert held.best == ridges[np.argmin(held.mse)]


KAPPA = np.linspace(-1, 1, 9)[:, None]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: regression.ridge_solve(KAPPA[:, :0], KAPPA), "a point and a neuron at least"),
        (lambda: regression.ridge_solve(KAPPA, KAPPA[:3]), r"target must have shape \(9, R\)"),
        (lambda: regression.ridge_solve(KAPPA, KAPPA, weights=np.zeros(9)), "weights must be at"),
        (lambda: regression.hold_out(KAPPA, KAPPA, np.zeros(9)), "two labels at least"),
        (
            lambda: regression.ridge_path(KAPPA, KAPPA, ridges=[1.0, 0.1]),
            "ridges must be positive and increasing",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""The embedding against other solvers, closed forms, invariances, and networks that it built."""

import numpy as np
import pytest

from lrnn import inputs, nef, nonautonomous, targets
from lrnn.basis import Basis, evaluate, gaussian_basis, moving_basis, tuned_basis
from lrnn.fixed_points import fixed_points
from lrnn.network import latent_velocity
from lrnn.nonlinearity import Nonlinearity
from lrnn.regression import hold_out, ridge_path, ridge_solve
from lrnn.simulate import solve_latent

PHIS = ["tanh", "relu", "erf", "sigmoid", Nonlinearity("gauss", lambda x: np.exp(-(x**2)), None)]


def test_gcv_chooses_near_the_best_ridge_for_noisy_targets():
    """Over ten draws, the error on the noiseless target is within twice the best of the path."""
    target = targets.cubic()
    kappa, ratio = targets.grid(target, 200), []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        basis = gaussian_basis(60, 1, rng=rng)
        noisy = target.rhs(kappa) + 0.3 * rng.normal(size=kappa.shape)
        design, wanted = nef.problem(noisy, basis, kappa)
        path = ridge_path(design, wanted)
        errors = {}
        for ridge in path.ridge[::4]:
            n = ridge_solve(design, wanted, ridge=ridge).n
            errors[ridge] = np.mean((design @ n - kappa - target.rhs(kappa)) ** 2)
        n = ridge_solve(design, wanted, ridge=path.best).n
        chosen = np.mean((design @ n - kappa - target.rhs(kappa)) ** 2)
        ratio.append(chosen / min(errors.values()))
    assert np.median(ratio) < 2


def test_whole_trajectories_are_to_be_left_out_where_errors_are_correlated():
    """Errors shared by ten neighbours each: GCV learns them, holding out the blocks does not."""
    target, ratio = targets.cubic(), []
    kappa = np.repeat(targets.grid(target, 40), 10, axis=0)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        basis = gaussian_basis(60, 1, rng=rng)
        noisy = target.rhs(kappa) + np.repeat(rng.normal(size=(40, 1)), 10, axis=0)
        problem_ = nef.problem(noisy, basis, kappa)
        held = hold_out(*problem_, np.repeat(np.arange(40), 10)).best
        scores = []
        for ridge in (ridge_path(*problem_).best, held):
            net = nef.embed_samples(noisy, basis, kappa, ridge=ridge).network
            scores.append(nef.flow_error(net, target.rhs(kappa), kappa).nmse)
        ratio.append(scores[0] / scores[1])
    assert np.median(ratio) > 1.5


@pytest.mark.parametrize("phi", PHIS, ids=lambda phi: phi if isinstance(phi, str) else phi.name)
def test_the_networks_flow_is_the_fit(phi):
    target = targets.cubic((-1.2, 0.2, 1.2))
    kappa = targets.grid(target, 101)
    basis = gaussian_basis(30, 1, phi=phi, rng=np.random.default_rng(7))
    fit = nef.embed_ode(target.rhs, basis, kappa, tau=0.05, ridge=1e-8)
    error = 0.05 * (latent_velocity(fit.network, kappa) - target.rhs(kappa))
    rms = np.sqrt(np.mean(error**2, axis=0))
    np.testing.assert_allclose(fit.report.error.rmse, rms, rtol=1e-9)
    again = nef.flow_error(fit.network, target.rhs(kappa), kappa)
    assert again.nmse == pytest.approx(fit.report.error.nmse, rel=1e-9)
    assert again.nmse == pytest.approx(np.mean(error**2) / np.var(0.05 * target.rhs(kappa)))
    worst = np.argmax(np.abs(error[:, 0]))
    assert again.worst_error == pytest.approx(abs(error[worst, 0]))
    np.testing.assert_array_equal(again.worst, kappa[worst])
    assert fit.report.weight_norm == pytest.approx(np.linalg.norm(fit.network.n))


def test_a_network_is_found_again_from_its_own_flow():
    """Any dimension: the flow of a random network lies in the basis of that network."""
    for R in (1, 2, 4):
        rng = np.random.default_rng(R)
        basis = gaussian_basis(12, R, rng=rng)
        n = rng.normal(size=(12, R))
        flow = lambda k, basis=basis, n=n: (evaluate(basis, k) @ n - k) / 0.3  # noqa: E731
        kappa = rng.normal(size=(400, R))
        fit = nef.embed_ode(flow, basis, kappa, tau=0.3)
        # The condition number of such designs is below 1e6, of 1e16 that doubles resolve.
        np.testing.assert_allclose(fit.network.n, n, atol=1e-9 * np.abs(n).max() * 1e2)


def test_without_offsets_only_the_odd_part_is_captured():
    target = targets.cubic((-1.2, 0.2, 1.2))
    kappa = targets.grid(target, 201)
    even = (target.rhs(kappa) + target.rhs(-kappa)) / 2
    basis = gaussian_basis(100, 1, bias_std=0, rng=np.random.default_rng(8))
    fit = nef.embed_ode(target.rhs, basis, kappa)
    # On a symmetric grid the even part is orthogonal to every odd function.
    assert fit.report.error.rmse[0] == pytest.approx(np.sqrt(np.mean(even**2)), rel=1e-6)


def test_weights_and_repeated_points_are_the_same():
    target = targets.hopf()
    rng = np.random.default_rng(9)
    kappa = rng.uniform(-1.5, 1.5, size=(80, 2))
    times = rng.integers(1, 4, size=80)
    basis = gaussian_basis(20, 2, rng=rng)
    weighted = nef.embed_ode(target.rhs, basis, kappa, ridge=1e-3, weights=times)
    repeated = nef.embed_ode(target.rhs, basis, np.repeat(kappa, times, axis=0), ridge=1e-3)
    np.testing.assert_allclose(weighted.network.n, repeated.network.n, rtol=1e-8)
    assert weighted.report.error.nmse == pytest.approx(repeated.report.error.nmse)
    np.testing.assert_allclose(weighted.report.error.rmse, repeated.report.error.rmse)


def test_time_constant_changes_the_clock_of_the_fit_only():
    """The field of a network with half the tau is fitted as well if the target is twice as fast."""
    target = targets.hopf()
    basis = gaussian_basis(50, 2, rng=np.random.default_rng(10))
    kappa = targets.grid(target, 15)
    slow = nef.embed_ode(target.rhs, basis, kappa, tau=0.2, ridge=1e-6)
    fast = nef.embed_ode(lambda k: 2 * target.rhs(k), basis, kappa, tau=0.1, ridge=1e-6)
    np.testing.assert_allclose(slow.network.n, fast.network.n, rtol=1e-9)


@pytest.mark.parametrize("form", ["current", "rate"])
def test_a_driven_system_runs_as_an_ordinary_network(form):
    """dz/dt = z - z^3 + v with v a coordinate of the fit, then driven by a signal."""
    tau = 0.5
    rng = np.random.default_rng(11)
    basis = gaussian_basis(200, 1, input_std=(1.0,), rng=rng)
    kappa, v = rng.uniform(-2, 2, size=(2000, 1)), rng.uniform(-1, 1, size=(2000, 1))
    rhs = lambda z, v: z - z**3 + v  # noqa: E731
    fit = nef.embed_ode(rhs, basis, kappa, v=v, tau=tau, ridge=1e-9, form=form)
    t = np.linspace(0, 12, 121)
    run = solve_latent(fit.network, [[0.5]], lambda s: np.array([np.sin(0.7 * s)]), t)
    step = np.gradient(run.kappa[0, :, 0], t)
    wanted = rhs(run.kappa[0, :, 0], run.v[0, :, 0])
    # Central differences at intervals of 0.1 are good to a few hundredths; the ends to less.
    np.testing.assert_allclose(step[2:-2], wanted[2:-2], atol=0.03)
    assert run.kappa.max() > 1  # the drive takes it from one well
    assert run.kappa.min() < -1  # to the other


def test_input_along_m_needs_no_fit():
    """w_in = m c moves z by c v exactly: fitted for v = 0, right for every v."""
    rng = np.random.default_rng(12)
    plain = gaussian_basis(100, 1, rng=rng)
    target = targets.cubic()
    kappa = targets.grid(target, 201)
    fit = nef.embed_ode(target.rhs, plain, kappa, ridge=1e-10)
    along = Basis(plain.m, plain.bias, w_in=plain.m * 1.0)
    shifted = nef.embed_ode(
        lambda z, v: target.rhs(z + v) + v, along, kappa - 0.3, v=np.full_like(kappa, 0.3),
        ridge=1e-10,
    )  # fmt: skip
    # kappa + v = kappa_old, so design, target and with them the weights are the same.
    np.testing.assert_allclose(shifted.network.n, fit.network.n, rtol=1e-6)


def test_fixed_points_of_the_network_are_those_of_the_target():
    target = targets.cubic((-1.2, 0.2, 1.2))
    basis = tuned_basis(80, target.domain, m_std=1.5, rng=np.random.default_rng(13))
    net = nef.embed_ode(target.rhs, basis, targets.grid(target, 201), ridge=1e-8).network
    found = fixed_points(net, np.linspace(-2, 2, 41)[:, None])
    np.testing.assert_allclose(found.kappa, target.fixed_points, atol=5e-3)  # rms error / slope
    assert found.stable.tolist() == [True, False, True]


def test_fits_are_repeatable_to_the_bit():
    target = targets.hopf()
    basis = gaussian_basis(60, 2, rng=np.random.default_rng(14))
    first, second = (nef.embed_ode(target.rhs, basis, targets.grid(target, 20)) for _ in range(2))
    np.testing.assert_array_equal(first.network.n, second.network.n)


def test_warnings_say_when_the_points_do_not_decide():
    target = targets.cubic()
    few = targets.grid(target, 10)
    basis = gaussian_basis(30, 1, rng=np.random.default_rng(15))
    assert "10 points for 30 neurons" in nef.embed_ode(target.rhs, basis, few).report.warnings[0]
    assert nef.embed_ode(target.rhs, basis, few, ridge=1e-6).report.warnings == ()
    many = nef.embed_ode(target.rhs, gaussian_basis(100, 1, rng=np.random.default_rng(0)),
                         targets.grid(target, 200)).report  # fmt: skip
    assert many.rank < 100
    assert f"only {many.rank} of 100 neurons" in many.warnings[0]


def test_a_ridge_below_rounding_is_said_to_be_one():
    target = targets.cubic()
    kappa = targets.grid(target, 200)
    basis = gaussian_basis(100, 1, rng=np.random.default_rng(0))
    tiny = nef.embed_ode(target.rhs, basis, kappa, ridge=1e-40).report
    assert "ridge of 1e-40 is too small" in tiny.warnings[0]
    assert nef.embed_ode(target.rhs, basis, kappa, ridge=1e-20).report.warnings == ()


def swirl(z, t):
    """Something that changes in time, in two dimensions."""
    return np.sin(t)[..., None] * z - 0.3 * z[..., ::-1] ** 2


@pytest.mark.parametrize("importance", [None, "of points", "of pairs"])
@pytest.mark.parametrize("form", ["current", "rate"])
def test_embedding_in_time_is_the_fit_to_all_pairs(importance, form):
    rng = np.random.default_rng(16)
    t, kappa = np.linspace(0, 3, 4), rng.normal(size=(25, 2))
    v = np.column_stack([np.exp(-t), t])
    basis = gaussian_basis(15, 2, input_std=(1.0, 0.5), rng=rng)
    shapes = {None: None, "of points": (25,), "of pairs": (4, 25)}
    weights = None if importance is None else rng.uniform(0, 2, size=shapes[importance])
    pairs, seen, wanted, each = [], [], [], []
    for k, p in np.ndindex(4, 25):
        pairs.append(kappa[p])
        seen.append(v[k])
        wanted.append(swirl(kappa[p], t[k]))
        if weights is not None:
            each.append(weights[p] if weights.ndim == 1 else weights[k, p])
    choices = {"tau": 0.4, "ridge": 1e-4, "form": form}
    by_hand = nef.embed_samples(
        np.array(wanted), basis, np.array(pairs), v=np.array(seen), weights=each or None, **choices
    )
    fit = nef.embed_in_time(swirl, basis, kappa, t, v, weights=weights, **choices)
    np.testing.assert_allclose(fit.network.n, by_hand.network.n, rtol=1e-10)  # round-off
    assert fit.report.error.nmse == pytest.approx(by_hand.report.error.nmse, rel=1e-10)
    assert (fit.network.form, fit.network.tau) == (form, 0.4)
    assert fit.report.warnings == ()


def test_error_in_time_is_the_error_of_the_flow_at_each_moment():
    rng = np.random.default_rng(17)
    t, kappa = np.linspace(0, 3, 5), rng.normal(size=(40, 2))
    v = np.exp(-t)[:, None]
    basis = gaussian_basis(10, 2, input_std=(1.0,), rng=rng)
    fit = nef.embed_in_time(swirl, basis, kappa, t, v, tau=0.4)
    error = nef.error_in_time(fit.network, swirl, kappa, t, v)
    for k, now in enumerate(t):
        wanted = swirl(kappa, np.full(40, now))
        one = nef.flow_error(fit.network, wanted, kappa, v=np.tile(v[k], (40, 1)))
        np.testing.assert_allclose(error[k], one.rmse, rtol=1e-12)
    # All moments have as many points.
    np.testing.assert_allclose(np.sqrt(np.mean(error**2, axis=0)), fit.report.error.rmse, rtol=1e-9)


QUADRATIC = targets.inverted_quadratic(6.0)
ALONG = np.linspace(-9, 9, 81)[:, None]


@pytest.mark.parametrize("rate", [0.5, -0.7])
@pytest.mark.parametrize("tau", [1.0, 0.5])
def test_without_offsets_what_is_even_is_lost_as_the_input_fades(rate, tau):
    """Late, z* = 6 rests, and the wanted z + tau dz/dt is (1 - a tau) z + 6 a tau.

    The neurons, with v = e^{-10}, add up to an odd function. Over points symmetric about zero that
    is orthogonal to the constant, which is therefore the error, whatever the weights.
    """
    t = np.linspace(0, 10, 61)
    v = np.exp(-t)[:, None]
    system, rng = nonautonomous.tracking(QUADRATIC, [-5.0], rate=rate), np.random.default_rng(18)
    plain = gaussian_basis(400, 1, m_std=0.5, bias_std=0, input_std=(3.0,), rng=rng)
    moving = moving_basis(400, [[-9, 9]], t, v, m_std=0.5, speed_std=1.5, rng=rng)
    error = []
    for basis in (plain, moving):
        fit = nef.embed_in_time(system.rhs, basis, ALONG, t, v, tau=tau, ridge=1e-9)
        error.append(nef.error_in_time(fit.network, system.rhs, ALONG, t, v)[:, 0])
        pitfall = "at t = 10 s the input moves no function by more than 0.000"
        assert [text.startswith(pitfall) for text in fit.report.warnings] == (
            [True] if basis is plain else []
        )
    lost, kept = error
    # A few thousandths remain for large weights on what still moves by 3 e^{-10} = 1e-4.
    assert lost[-1] == pytest.approx(6 * abs(rate) * tau, rel=0.01)
    assert lost[0] < 0.1 * lost[-1]  # at first the input makes up for it
    assert kept.max() < 0.01 * lost[-1]


def test_the_warning_is_for_odd_functions_where_the_input_is_near_zero():
    t = np.linspace(0, 10, 21)
    fading, back = np.exp(-t)[:, None], 1 + np.exp(-t)[:, None]
    rng = np.random.default_rng(19)
    plain = gaussian_basis(20, 1, bias_std=0, input_std=(1.0,), rng=rng)
    with_offsets = Basis(plain.m, rng.normal(size=20), w_in=plain.w_in)
    relu = Basis(plain.m, w_in=plain.w_in, phi="relu")
    both = Basis(plain.m, w_in=np.repeat(plain.w_in, 2, axis=1))
    warned = []
    for basis, v, end in (
        (plain, fading, 21), (plain, back, 21), (plain, fading, 3), (with_offsets, fading, 21),
        (relu, fading, 21), (both, np.hstack([fading, np.ones((21, 1))]), 21),
        (both, np.hstack([fading, np.zeros((21, 1))]), 21),
    ):  # fmt: skip
        fit = nef.embed_in_time(lambda z, t: -z, basis, ALONG, t[:end], v[:end], ridge=1e-6)
        warned.append(any("only odd functions" in text for text in fit.report.warnings))
    assert warned == [True, False, False, False, False, False, True]


SYSTEMS = {
    "the target": nonautonomous.autonomous(QUADRATIC, [-5.0]),
    "stable": nonautonomous.tracking(QUADRATIC, [-5.0], rate=0.5),
    "unstable": nonautonomous.tracking(QUADRATIC, [-5.0], rate=-0.5),
    "neutral": nonautonomous.tracking(QUADRATIC, [-5.0], rate=0.0),
}


@pytest.mark.parametrize("seed", range(3))
def test_four_networks_share_one_trajectory_and_a_perturbation_tells_them_apart(seed):
    """Input that fades as e^{-t} is their clock; N = 400."""
    t, given = np.linspace(0, 5, 61), inputs.decaying(1.0, tau=1.0)
    rng = np.random.default_rng(seed)
    basis = moving_basis(400, [[-9, 9]], t, given.v(t), m_std=0.5, speed_std=1.5, rng=rng)
    responses = []
    for system in SYSTEMS.values():
        fit = nef.embed_in_time(system.rhs, basis, ALONG, t, given.v(t), ridge=1e-9)
        run = solve_latent(fit.network, [[-5.0], [-4.9]], given.u, t, v0=[given.v(0.0)])
        # Errors of the flow, some 1e-3 rms, grow e^{2.5} = 12-fold in the unstable system, but
        # most of them average out on the way: at most 0.005 over eight bases.
        np.testing.assert_allclose(run.kappa[0], system.path(t), atol=0.01)
        responses.append((run.kappa[1] - run.kappa[0])[:, 0])
        exact = system.response([0.1], 0.0, t)[:, 0]
        np.testing.assert_allclose(responses[-1], exact, atol=0.01)
    # 0.1 times 0.08 and 12.2 in the end, and nearly 3 for the target on its way: all are far apart.
    apart = [np.abs(a - b).max() for i, a in enumerate(responses) for b in responses[:i]]
    assert min(apart) > 0.05


KAPPA, UNIT = np.linspace(-1, 1, 9)[:, None], Basis(np.ones((2, 1)))

DRIVEN = Basis(np.ones((2, 1)), w_in=np.ones((2, 1)))


def in_time(rhs=lambda z, t: -z, basis=DRIVEN, kappa=KAPPA, t=(0, 1), v=((1,), (2,)), **choices):
    return nef.embed_in_time(rhs, basis, kappa, t, v, **choices)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nef.embed_ode(lambda k: k[:, 0], UNIT, KAPPA), r"rhs must return shape \(9, 1\)"),
        (
            lambda: nef.embed_ode(lambda k: np.where(k > 0.4, np.nan, k), UNIT, KAPPA),
            r"rhs must be finite, got \[nan\] at point 6, kappa = \[0.5\] \(3 of 9 points\)",
        ),
        (lambda: nef.embed_ode(lambda k: k / 0, UNIT, KAPPA + 2), "rhs must be finite, got .inf."),
        (lambda: nef.embed_ode(np.sin, UNIT, np.ones((9, 2))), "kappa must have shape"),
        (lambda: nef.embed_ode(np.sin, UNIT, KAPPA, ridge=-1), "ridge must be at least 0, got -1"),
        (lambda: nef.embed_ode(np.sin, UNIT, KAPPA, tau=0), "tau must be greater than 0, got 0"),
        (
            lambda: nef.embed_ode(np.sin, UNIT, KAPPA, weights=-np.ones(9)),
            "weights must be at least 0",
        ),
        (lambda: nef.embed_ode(np.sin, UNIT, KAPPA, weights=np.ones(3)), "weights must have shape"),
        (lambda: nef.embed_ode(np.sin, UNIT, KAPPA[:0]), "at least, got"),
        (lambda: nef.embed_samples(np.ones((9, 2)), UNIT, KAPPA), "velocity must have shape"),
        (lambda: in_time(basis=UNIT), "basis must have an input channel"),
        (lambda: in_time(v=np.ones((3, 1))), r"v must have shape \(2, 1\), got \(3, 1\)"),
        (lambda: in_time(t=[0, np.nan]), "t must be finite, got nan"),
        (lambda: in_time(kappa=np.ones((9, 2))), "kappa must have shape"),
        (lambda: in_time(rhs=lambda z, t: t), r"rhs must return shape \(18, 1\)"),
        (
            lambda: in_time(weights=np.ones(2)),
            r"weights must have shape \(9,\) or \(2, 9\), got \(2,\)",
        ),
        (lambda: in_time(weights=-np.ones(9)), "weights must be at least 0"),
        (
            lambda: nef.error_in_time(in_time().network, np.add, KAPPA, [0, 1], np.ones((2, 2))),
            r"v must have shape \(2, 1\), got \(2, 2\)",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with np.errstate(divide="ignore"), pytest.raises(ValueError, match=message):
        call()

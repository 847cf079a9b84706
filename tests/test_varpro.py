"""Variable projection against finite differences and refits on stacked arrays."""

import numpy as np
import pytest

from lrnn.basis import Basis, evaluate
from lrnn.nonlinearity import NONLINEARITIES, TANH
from lrnn.pursuit import regression
from lrnn.targets import cubic, grid, van_der_pol
from lrnn.varpro import curvature_and_gradient, descend, gains, lay_out, solve, weakest

TARGETS = {1: cubic((-1.2, 0.2, 1.2)), 2: van_der_pol()}


def case(R, K=4, seed=0, phi="tanh", ridge=1e-4):
    """A regression, its problem, and parameters (R + 1, K) that fit it badly."""
    task = regression(TARGETS[R].rhs, grid(TARGETS[R], {1: 50, 2: 9}[R]), ridge=ridge)
    problem = lay_out(task, NONLINEARITIES[phi], m_max=8.0, bias_max=16.0)
    return task, problem, np.random.default_rng(seed).uniform(-2, 2, size=(R + 1, K))


def residual(place, task, phi, K):
    """The projected residual, (P + K) R numbers, by least squares on stacked arrays."""
    weights = place.reshape(-1, K)
    basis = Basis(weights[:-1].T, weights[-1], phi=phi)
    P, R = task.target.shape
    rates = evaluate(basis, task.kappa)
    stack = np.vstack([rates, np.sqrt(P * task.penalty) * np.eye(K)])
    target = np.vstack([task.target, np.zeros((K, R))])
    return (target - stack @ np.linalg.lstsq(stack, target, rcond=None)[0]).ravel()


@pytest.mark.parametrize("phi", ["tanh", "erf", "sigmoid", "relu"])
@pytest.mark.parametrize("R", [1, 2])
def test_curvature_and_gradient_agree_with_finite_differences(R, phi):
    task, problem, parameters = case(R, phi=phi)
    at = solve(problem, parameters)
    place, K = parameters.ravel(), parameters.shape[1]
    here = residual(place, task, phi, K)
    assert at.total == pytest.approx(here @ here, rel=1e-12)

    step = 1e-4  # with five points: truncation step^4, rounding 1e-16/step, both under 1e-11
    if phi == "relu":  # no point may cross a corner on the way
        assert np.abs(parameters.T @ problem.points).min() > 2 * step * np.abs(problem.points).max()
    jacobian = np.empty((len(here), len(place)))
    for i in range(len(place)):
        shift = np.zeros(len(place))
        shift[i] = step
        near = residual(place + shift, task, phi, K) - residual(place - shift, task, phi, K)
        far = residual(place + 2 * shift, task, phi, K) - residual(place - 2 * shift, task, phi, K)
        jacobian[:, i] = (8 * near - far) / (12 * step)
    curvature, gradient = curvature_and_gradient(problem, at)
    expected = jacobian.T @ here
    assert np.linalg.norm(gradient - expected) < 1e-8 * np.linalg.norm(expected)
    expected = jacobian.T @ jacobian
    assert np.linalg.norm(curvature - expected) < 1e-8 * np.linalg.norm(expected)


@pytest.mark.parametrize("R", [1, 2])
def test_the_weakest_neuron_is_the_one_that_a_refit_misses_least(R):
    _, problem, parameters = case(R, K=6, seed=4)
    without = [solve(problem, np.delete(parameters, j, axis=1)).total for j in range(6)]
    np.testing.assert_array_equal(weakest(solve(problem, parameters)), np.argsort(without))


@pytest.mark.parametrize("R", [1, 2])
def test_gains_are_what_a_refit_gains(R):
    _, problem, parameters = case(R, seed=5)
    at = solve(problem, parameters)
    atoms = np.random.default_rng(6).uniform(-5, 5, size=(R + 1, 30))
    gained = gains(problem, at, atoms)
    for j in range(30):
        refit = solve(problem, np.column_stack([parameters, atoms[:, j]]))
        # Differences of totals: round-off relative to the totals.
        assert gained[j] == pytest.approx(at.total - refit.total, rel=1e-8, abs=1e-12 * at.total)


def test_a_descent_says_how_it_ended():
    _, problem, parameters = case(1)
    start = solve(problem, parameters)
    none, few, all_ = (descend(problem, parameters, most_steps=k) for k in (0, 5, 500))
    assert (none.steps, none.converged) == (0, False)
    assert none.end.total == start.total
    assert 1 <= few.steps <= 5
    assert not few.converged
    assert all_.converged
    assert all_.end.total < few.end.total < start.total
    # A second descent from there finds next to nothing: its three steps of less than 1e-4.
    again = descend(problem, all_.end.parameters)
    assert all_.end.total * (1 - 1e-3) < again.end.total <= all_.end.total


def test_parameters_are_clipped_to_the_box():
    task, _, parameters = case(2)
    narrow = lay_out(task, TANH, m_max=0.5, bias_max=1.5)
    for most_steps in (0, 50):
        end = descend(narrow, 10 * parameters, most_steps).end.parameters
        assert (np.abs(end).max(axis=1) <= [0.5, 0.5, 1.5]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ridge": 0.0}, "task must have a ridge > 0"),
        ({"m_max": 0.0}, "m_max must be greater than 0"),
        ({"bias_max": -1.0}, "bias_max must be greater than 0"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"ridge": 1e-3, "m_max": 1.0, "bias_max": 1.0} | change
    task = regression(TARGETS[2].rhs, grid(TARGETS[2], 5), ridge=arguments.pop("ridge"))
    with pytest.raises(ValueError, match=message):
        lay_out(task, TANH, **arguments)

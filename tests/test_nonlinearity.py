"""Each nonlinearity against finite differences and its stated bound."""

import numpy as np
import pytest

from lrnn.nonlinearity import NONLINEARITIES, TANH, Nonlinearity, nonlinearity


@pytest.mark.parametrize("phi", NONLINEARITIES.values(), ids=NONLINEARITIES)
def test_derivative_and_bound(phi):
    x = np.linspace(-8, 8, 400)  # an even number of points leaves out relu's kink at 0
    step = 1e-5
    difference = (phi.function(x + step) - phi.function(x - step)) / (2 * step)
    np.testing.assert_allclose(phi.derivative(x), difference, atol=1e-9)
    wide = np.abs(phi.function(np.array([-50.0, 50.0]))).max()
    assert wide == pytest.approx(min(phi.bound, 50.0))


def test_a_name_or_a_record_is_accepted():
    own = Nonlinearity("cube", lambda x: x**3, lambda x: 3 * x**2)
    assert nonlinearity("tanh") is TANH
    assert nonlinearity(own) is own


@pytest.mark.parametrize("phi", ["swish", np.tanh, None])
def test_others_are_refused_with_the_known_names(phi):
    with pytest.raises(ValueError, match="phi must be one of tanh, relu, erf, sigmoid, linear"):
        nonlinearity(phi)

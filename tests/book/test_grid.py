"""Which runs a sweep has: values as typed, combined, each once."""

import numpy as np
import pytest

from lrnn.book.grid import Between, check_choice, combine, parse_choice
from lrnn.book.parameters import ParameterError, parse_parameters

PARAMETERS = parse_parameters(
    """
seed: int = 0  # seed [0, inf)
g: float = 0.5  # gain (0, 2]
phi: str = "tanh"  # nonlinearity {tanh, relu}
sizes: list[int] = [1]  # layers [1, 9]
twice: bool = False  # whether twice
"""
)


def parsed(name, text):
    choice = parse_choice(PARAMETERS[name], text)
    return choice if isinstance(choice, Between) else list(choice)


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("g", "0.3,0.5,1", [0.3, 0.5, 1.0]),
        ("g", "0.1:0.9:5", [0.1, 0.3, 0.5, 0.7, 0.9]),
        ("g", "0.1:0.9", Between(0.1, 0.9)),
        ("seed", "0:4", [0, 1, 2, 3]),
        ("seed", "0:9:4", [0, 4, 8]),
        ("seed", "9:0:-4", [9, 5, 1]),
        ("phi", "relu,tanh", ["relu", "tanh"]),
        ("sizes", "[1,2],[3]", [[1, 2], [3]]),
        ("sizes", "[1,2]", [[1, 2]]),
        ("twice", "true,False", [True, False]),
    ],
)
def test_values_as_typed(name, text, values):
    assert (
        parsed(name, text) == pytest.approx(values) if name == "g" else parsed(name, text) == values
    )
    assert {type(v) for v in parsed(name, text)} <= {PARAMETERS[name].kind}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("g", "0.3,big", "g = 'big': expected float"),
        ("g", "0.3,2.5", "g = 2.5: expected in (0, 2]"),
        ("g", "0:1:3", "g = 0.0: expected in (0, 2]"),
        ("g", "0:1", "g = 0.0: expected in (0, 2]"),
        ("g", "1:0.5", "g = 1.0:0.5: expected low < high"),
        ("g", "1:2:3:4", "g = '1:2:3:4': expected low:high:count"),
        ("g", "0.1:nan:3", "g = '0.1:nan:3': expected low:high:count"),
        ("g", "0.1:0.9:0", "g = '0.1:0.9:0': expected low:high:count"),
        ("g", "0.1:0.9:-2", "g: expected at least one value"),
        ("seed", "5:5", "seed: expected at least one value"),
        ("seed", "0:5:0", "seed = '0:5:0': expected low:high or low:high:step"),
        ("seed", "-1:2", "seed = -1: expected in [0, inf)"),
        ("seed", "", "seed = '': expected int"),
        ("phi", "relu,erf", "phi = 'erf': expected in {tanh, relu}"),
        ("sizes", "1,2", "sizes = 1: expected list"),
        ("sizes", "[1,99]", "sizes = [1, 99]: expected in [1, 9]"),
        ("sizes", "[1", "sizes = '[1': expected list"),
    ],
)
def test_a_bad_value_is_named(name, text, message):
    with pytest.raises(ParameterError) as error:
        parse_choice(PARAMETERS[name], text)
    assert str(error.value).startswith(message)


def test_values_from_python_take_any_iterable_and_numpy():
    assert check_choice(PARAMETERS["seed"], range(3)) == [0, 1, 2]
    assert check_choice(PARAMETERS["g"], np.array([0.5, 1.0])) == [0.5, 1.0]
    assert check_choice(PARAMETERS["g"], 1) == [1.0]
    assert check_choice(PARAMETERS["phi"], "relu") == ["relu"]
    assert check_choice(PARAMETERS["sizes"], [1, 2]) == [[1, 2]]
    assert check_choice(PARAMETERS["sizes"], [[1], [2]]) == [[1], [2]]
    with pytest.raises(ParameterError, match="of a float"):
        check_choice(PARAMETERS["seed"], Between(0, 1))


def together(how, draws=0, start=0, /, **texts):
    choices = {name: parse_choice(PARAMETERS[name], text) for name, text in texts.items()}
    rng = np.random.default_rng(start)
    return combine(PARAMETERS, choices, how=how, draws=draws, rng=rng)


def test_a_grid_has_every_combination_once():
    runs = together("grid", g="0.3,0.5,0.3", seed="0:2")
    assert runs == [{"g": g, "seed": s} for g in (0.3, 0.5) for s in (0, 1)]
    assert together("grid") == [{}]


def test_a_zip_goes_side_by_side_and_repeats_single_values():
    runs = together("zip", g="0.3,0.3,0.5", seed="0:3", phi="relu")
    assert [tuple(run.values()) for run in runs] == [
        (0.3, 0, "relu"),
        (0.3, 1, "relu"),
        (0.5, 2, "relu"),
    ]
    assert together("zip") == [{}]


@pytest.mark.parametrize("seed", range(3))
def test_more_draws_begin_with_the_same_ones_and_fill_the_range(seed):
    few, many = (together("random", n, seed, g="0.5:1.5", phi="tanh,relu") for n in (10, 1000))
    assert many[:10] == few
    g = np.array([run["g"] for run in many])
    assert ((g >= 0.5) & (g <= 1.5)).all()
    # Standard error of the mean of a uniform number: 1/sqrt(12 * 1000) = 0.009; five of them.
    assert abs(g.mean() - 1) < 0.046
    assert abs(np.mean([run["phi"] == "relu" for run in many]) - 0.5) < 5 * 0.016


def test_draws_from_few_values_come_once_each():
    assert sorted(run["seed"] for run in together("random", 100, seed="0:3")) == [0, 1, 2]


@pytest.mark.parametrize(
    ("how", "draws", "choices", "message"),
    [
        ("zip", 0, {"g": "0.3,0.5", "seed": "0:3"}, "g: 2 values beside 3: expected as many"),
        ("grid", 0, {"g": "0.3:0.5"}, "g = 0.3:0.5: expected low:high:count"),
        ("random", 0, {"seed": "0:3"}, "0 runs: expected 1 to 100000"),
        ("grid", 0, {"seed": "0:1000", "g": "0.1:1:1000"}, "1000000 runs: expected 1 to"),
        ("product", 0, {"seed": "0:3"}, "how = 'product': expected grid, zip or random"),
    ],
)
def test_a_bad_combination_is_refused(how, draws, choices, message):
    with pytest.raises(ParameterError) as error:
        together(how, draws, **choices)
    assert str(error.value).startswith(message)


def test_an_unknown_parameter_is_refused():
    with pytest.raises(ParameterError, match="unknown parameter sed: did you mean seed"):
        combine(PARAMETERS, {"sed": [1]}, rng=np.random.default_rng(0))

"""Parameters: declared in a cell, read from text, checked by type and range."""

import math

import pytest

from lrnn.book.parameters import (
    Choices,
    Interval,
    ParameterError,
    check_parameters,
    check_values,
    parse_parameters,
    parse_text,
)

CELL = """\
seed: int = 0  # seed of every random draw [0, inf)
noise: float = 1  # standard deviation (of the state) (0, 10]
phi: str = "t#nh"  # nonlinearity {t#nh, relu}
lags: list[int] = [1, 2]  # lags, in frames [1, 5]
strict: bool = True  # whether to stop
data: str = ""  # a file of your own
"""


def test_cell_is_read_whole():
    declared = parse_parameters(CELL)
    assert [*declared] == ["seed", "noise", "phi", "lags", "strict", "data"]
    assert declared["seed"].allowed == Interval(0, math.inf, False, True)
    assert declared["noise"].default == 1.0
    assert isinstance(declared["noise"].default, float)
    assert declared["noise"].meaning == "standard deviation (of the state)"
    assert declared["phi"].allowed == Choices(["t#nh", "relu"])
    assert declared["data"].allowed is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("n = 3  # neurons", "expected `name: type = value`"),
        ("n: complex = 3  # neurons", "annotated int, float"),
        ("n: int  # neurons", "annotated int, float"),
        ("n: int = 3", "no comment"),
        ("n: int = 3  # neurons [1, lots]", "not an interval"),
        ("n: int = 3  # neurons [5, 9]", r"n = 3: expected in \[5, 9\]"),
        ("n: int = 3.5  # neurons", "n = 3.5: expected int"),
        ("n: float = 1/3  # neurons", "expected a plain value"),
        ("n: int = (3", "line 1"),
    ],
)
def test_malformed_declarations_are_refused(line, message):
    with pytest.raises(ParameterError, match=message):
        parse_parameters(line)


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        (Interval(0, 1), [0, 1, 0.5], [-1e-12, 1 + 1e-12, "a"]),
        (Interval(0, 1, True, True), [1e-12, 0.5], [0, 1]),
        (Interval(0, math.inf), [1e300], [-1, math.nan]),
    ],
)
def test_interval_ends(interval, inside, outside):
    assert all(value in interval for value in inside)
    assert not any(value in interval for value in outside)


def test_values_take_their_parameters_type_and_defaults_fill_in():
    values = check_values(parse_parameters(CELL), {"noise": 2})
    assert values["noise"] == 2.0
    assert isinstance(values["noise"], float)
    assert values["lags"] == [1, 2]


@pytest.mark.parametrize(
    "given",
    [
        {"seed": -1},
        {"seed": True},
        {"seed": 1.0},
        {"noise": math.nan},
        {"noise": "1"},
        {"phi": "RELU"},
        {"lags": [1, 9]},
        {"lags": 3},
        {"lags": [1.5]},
        {"lags": [True]},
        {"strict": 1},
        {"Seed": 1},
    ],
)
def test_unfit_values_are_refused_by_name(given):
    with pytest.raises(ParameterError, match=next(iter(given))):
        check_values(parse_parameters(CELL), given)


def test_text_from_a_command_line():
    declared = parse_parameters(CELL)
    assert parse_text(declared["seed"], "12") == 12
    assert parse_text(declared["noise"], "1e-3") == 1e-3
    assert parse_text(declared["lags"], "[2, 3]") == [2, 3]
    assert parse_text(declared["strict"], "false") is False
    assert parse_text(declared["data"], "12") == "12"
    with pytest.raises(ParameterError, match="seed = 'x y'"):
        parse_text(declared["seed"], "x y")


def test_check_parameters_needs_a_notebook():
    with pytest.raises(RuntimeError, match="notebook"):
        check_parameters()

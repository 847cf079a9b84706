"""The runs of a sweep: which values each parameter takes, and how they are combined.

Typed, several values are set apart by commas, and a range of numbers is written with colons:

    0.3,0.5,0.8    three values
    0:20           for an int, 0 up to 19; 0:20:5 takes steps of 5
    0.1:0.9:5      for a float, 5 numbers from 0.1 to 0.9, both included
    0.1:0.9        for a float that is drawn at random, any number in between
    [1,2],[3]      for a list, two lists
"""

import ast
import math
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from lrnn.book.parameters import Parameter, ParameterError, check_names, check_value, parse_text

MOST = 100_000  # runs in a sweep; more of them are a slip of the keyboard


class Between(NamedTuple):
    """Any number from `low` to `high`, to be drawn."""

    low: float
    high: float


Choice = Sequence[Any] | Between  # what a parameter may be in the runs of a sweep


def parse_choice(parameter: Parameter, text: str) -> Choice:
    """Read the values of a parameter as they are typed.

    Raises : ParameterError if one of them does not fit the parameter, or there are none
    """
    if parameter.kind in (int, float) and ":" in text:
        return check_choice(parameter, _range(parameter, text))
    if parameter.kind is not list:
        return [parse_text(parameter, item) for item in text.split(",")]
    try:
        typed = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        typed = text  # refused below, as it was typed
    lists = typed if isinstance(typed, tuple) else (typed,)
    return [check_value(parameter, item) for item in lists]


def _range(parameter: Parameter, text: str) -> Choice:
    expected = {
        int: "low:high or low:high:step, whole numbers, with a step that is not 0",
        float: "low:high:count, or low:high to draw from",
    }[parameter.kind]
    try:
        low, high = (parameter.kind(end) for end in text.split(":")[:2])
        rest = [int(part) for part in text.split(":")[2:]]
        if len(rest) > 1 or rest == [0] or not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError
    except ValueError:
        raise ParameterError(f"{parameter.name} = {text!r}: expected {expected}") from None
    if parameter.kind is int:
        return range(low, high, *rest)
    if rest:
        return np.linspace(low, high, max(rest[0], 0)).tolist()
    return Between(low, high)


def check_choice(parameter: Parameter, choice: Any) -> Choice:
    """The values in the parameter's own type.

    choice : one value, or an iterable of them, or Between; for a list, an iterable of lists
    Raises : ParameterError naming the parameter, the value and what was expected
    """
    if isinstance(choice, Between):
        if parameter.kind is not float or not choice.low < choice.high:
            expected = "expected low < high, of a float"
            raise ParameterError(f"{parameter.name} = {choice.low}:{choice.high}: {expected}")
        for end in choice:
            check_value(parameter, end)
        return choice
    choice = (
        list(choice) if isinstance(choice, Iterable) and not isinstance(choice, str) else choice
    )
    several = isinstance(choice, list)
    if several and parameter.kind is list:
        several = bool(choice) and all(isinstance(item, list) for item in choice)
    values = choice if several else [choice]
    plain = (value.item() if isinstance(value, np.generic) else value for value in values)
    typed = [check_value(parameter, value) for value in plain]
    if not typed:
        raise ParameterError(f"{parameter.name}: expected at least one value")
    return typed


def combine(
    parameters: dict[str, Parameter],
    choices: dict[str, Choice],
    *,
    how: str = "grid",
    draws: int = 0,
    rng: np.random.Generator | None,
) -> list[dict[str, Any]]:
    """The given values of each run, every run once.

    parameters : the chapter's
    choices : the values of each parameter, as `check_choice` returns them
    how : "grid", every combination, the last parameter changing fastest; "zip", the first values
        together, then the second ones; "random", as many draws as are asked for, of which more
        begin with the same ones
    draws : number of draws, for "random" only
    rng : draws them; None where nothing is drawn
    Raises : ParameterError for unknown parameters, unequal numbers of values, or a range in a grid
    """
    check_names(parameters, choices)
    open_ended = [name for name, choice in choices.items() if isinstance(choice, Between)]
    if open_ended and how != "random":
        low, high = choices[open_ended[0]]
        raise ParameterError(
            f"{open_ended[0]} = {low:g}:{high:g}: expected low:high:count; "
            "only a random sweep draws from a range"
        )
    if how == "grid":
        total = math.prod(len(choice) for choice in choices.values())
        _check_number(total)
        rows: Iterable[Sequence[Any]] = product(*choices.values())
    elif how == "zip":
        longest = max(map(len, choices.values()), default=1)
        for name, choice in choices.items():
            if len(choice) not in (1, longest):
                raise ParameterError(
                    f"{name}: {len(choice)} values beside {longest}: "
                    "expected as many, or one for all"
                )
        _check_number(longest)
        columns = (list(c) * (longest if len(c) == 1 else 1) for c in choices.values())
        rows = zip(*columns, strict=True) if choices else [()]
    elif how == "random":
        _check_number(draws)
        if rng is None:
            raise ParameterError("rng = None: expected a numpy random generator to draw with")
        rows = [[_draw(choice, rng) for choice in choices.values()] for _ in range(draws)]
    else:
        raise ParameterError(f"how = {how!r}: expected grid, zip or random")
    runs: dict[str, dict[str, Any]] = {}
    for row in rows:
        runs.setdefault(repr(row), dict(zip(choices, row, strict=True)))
    return list(runs.values())


def _draw(choice: Choice, rng: np.random.Generator) -> Any:
    if isinstance(choice, Between):
        return float(rng.uniform(*choice))
    return choice[int(rng.integers(len(choice)))]


def _check_number(runs: int) -> None:
    if not 1 <= runs <= MOST:
        raise ParameterError(f"{runs} runs: expected 1 to {MOST}")

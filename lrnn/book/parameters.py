"""A chapter's parameters: declared once, in its `parameters` cell, checked before anything runs.

One annotated, commented name a line; the end of the comment may give the range as a mathematical
interval, or the choices as a set:

    n_neurons: int = 100  # neurons in the network [1, 20000]
    noise: float = 0.1    # standard deviation of the noise (0, 10]
    phi: str = "tanh"     # nonlinearity {tanh, relu}
"""

import ast
import difflib
import html
import io
import math
import re
import tokenize
from collections.abc import Iterable
from typing import Any, NamedTuple

TYPES = {"int": int, "float": float, "str": str, "bool": bool, "list": list}
INJECTED = "# Parameters"  # first line of the cell that papermill adds


class ParameterError(ValueError):
    """A parameter is unknown, of the wrong type or out of range; one line for the user."""


class Interval(NamedTuple):
    """A real interval; each end belongs to it unless it is open."""

    low: float
    high: float
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return above and below

    def __str__(self) -> str:
        opening, closing = "[("[self.low_open], "])"[self.high_open]
        return f"{opening}{self.low:g}, {self.high:g}{closing}"


class Choices(tuple[str, ...]):
    """The strings that a parameter may take."""

    def __str__(self) -> str:
        return "{" + ", ".join(self) + "}"


class Parameter(NamedTuple):
    """One line of a parameters cell; `item` is the type of a list's items, if it was said."""

    name: str
    kind: type
    item: type | None
    default: Any
    meaning: str
    allowed: Interval | Choices | None


def parse_parameters(source: str) -> dict[str, Parameter]:
    """Read the declarations of a parameters cell, by name, in their order.

    source : str, the cell's text
    Raises : ParameterError if a line is not `name: type = literal  # meaning [range]`, or its
        default is out of range
    """
    try:
        statements, comments = ast.parse(source).body, _comments(source)
    except SyntaxError as error:
        raise ParameterError(f"parameters cell, line {error.lineno}: {error.msg}") from None
    parameters = {}
    for statement in statements:
        line = source.splitlines()[statement.lineno - 1].strip()
        if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
            raise ParameterError(f"parameters cell: expected `name: type = value`, got `{line}`")
        kind, _, item = ast.unparse(statement.annotation).rstrip("]").partition("[")
        known = kind in TYPES and (not item or (kind == "list" and item in TYPES))
        try:
            default = ast.literal_eval(statement.value or "")
        except (ValueError, SyntaxError):
            known = False
        if not known:
            raise ParameterError(
                f"parameters cell: expected a plain value annotated {', '.join(TYPES)}, "
                f"got `{line}`"
            )
        meaning, allowed = _parse_comment(comments.get(statement.lineno, ""))
        if not meaning:
            raise ParameterError(f"parameters cell: `{line}` has no comment that says what it is")
        name = statement.target.id
        declared = Parameter(name, TYPES[kind], TYPES.get(item), None, meaning, allowed)
        parameters[name] = declared._replace(default=check_value(declared, default))
    return parameters


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}


def _parse_comment(comment: str) -> tuple[str, Interval | Choices | None]:
    comment = comment.strip()
    if choices := re.search(r"\{([^{}]*)\}$", comment):
        names = (name.strip() for name in choices[1].split(","))
        return comment[: choices.start()].strip(), Choices(names)
    if interval := re.search(r"([\[(])([^\[\]()]*),([^\[\]()]*)([\])])$", comment):
        opening, low, high, closing = interval.groups()
        try:
            allowed = Interval(float(low), float(high), opening == "(", closing == ")")
        except ValueError:
            raise ParameterError(f"parameters cell: {interval[0]} is not an interval") from None
        return comment[: interval.start()].strip(), allowed
    return comment, None


def check_value(parameter: Parameter, value: Any) -> Any:
    """Return the value in the parameter's own type.

    Raises : ParameterError naming the parameter, the value and what was expected
    """
    kind, item_type = parameter.kind, parameter.item
    typed = _typed(value, kind)
    if kind is list and isinstance(typed, list) and item_type is not None:
        typed = [_typed(item, item_type) for item in typed]
        if any(item is None for item in typed):
            expected = f"list of {item_type.__name__}"
            raise ParameterError(f"{parameter.name} = {value!r}: expected {expected}")
    if typed is None:
        raise ParameterError(f"{parameter.name} = {value!r}: expected {kind.__name__}")
    for item in typed if isinstance(typed, list) else [typed]:
        if isinstance(item, float) and math.isnan(item):
            raise ParameterError(f"{parameter.name} = {value!r}: expected a number")
        if parameter.allowed is not None and item not in parameter.allowed:
            raise ParameterError(f"{parameter.name} = {value!r}: expected in {parameter.allowed}")
    return typed


def _typed(value: Any, kind: type) -> Any:
    """The value in the type, an int serving as a float; None if it is of another type."""
    if isinstance(value, bool) and kind is not bool:
        return None
    if kind is float and isinstance(value, int):
        return float(value)
    return value if isinstance(value, kind) else None


def check_names(parameters: dict[str, Parameter], names: Iterable[str]) -> None:
    """Raise ParameterError for the first name that is no parameter, with the nearest known one."""
    for name in names:
        if name not in parameters:
            near = difflib.get_close_matches(name, parameters, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(parameters)}"
            raise ParameterError(f"unknown parameter {name}: {hint}")


def check_values(parameters: dict[str, Parameter], values: dict[str, Any]) -> dict[str, Any]:
    """Return all of the parameters: given values in their own types, defaults elsewhere.

    Raises : ParameterError for the first unknown name or unfit value
    """
    check_names(parameters, values)
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    return defaults | {name: check_value(parameters[name], v) for name, v in values.items()}


def parse_text(parameter: Parameter, text: str) -> Any:
    """Read a value typed on a command line: strings as they are, the rest as Python literals.

    Raises : ParameterError if the text is no literal, or the value does not fit
    """
    if parameter.kind is str:
        return check_value(parameter, text)
    literal = {"true": "True", "false": "False"}.get(text, text)
    try:
        value = ast.literal_eval(literal)
    except (ValueError, SyntaxError):
        value = text  # refused below, as it was typed
    return check_value(parameter, value)


def check_parameters() -> None:
    """Check this notebook's parameters; say so on the page when they are not the published ones.

    Reads the parameters cell, and the cell that papermill injected after it, from the history of
    the session.
    Raises : ParameterError for an unknown name, a wrong type or a value out of range;
        RuntimeError outside a notebook
    """
    from IPython import get_ipython
    from IPython.display import display

    shell = get_ipython()
    if shell is None:
        raise RuntimeError("check_parameters() reads the cells above it: call it in a notebook")
    published, injected = _declared_in(shell.user_ns["In"][:-1])
    check_names(published, injected)
    values = check_values(published, {name: shell.user_ns[name] for name in published})
    shell.user_ns.update(values)  # an int that serves as a float becomes one
    pairs = [
        f"{name} = {value!r} (published: {published[name].default!r})"
        for name, value in values.items()
        if value != published[name].default
    ]
    if pairs:
        notice = "These are not the published parameters: " + ", ".join(pairs)
        shown = f'<div class="parameters-changed">{html.escape(notice)}</div>'
        display({"text/plain": notice, "text/html": shown}, raw=True)


def _declared_in(history: list[str]) -> tuple[dict[str, Parameter], list[str]]:
    """The newest parameters cell, parsed, and the names that papermill injected after it."""
    injected: list[str] = []
    for source in reversed(history):
        try:
            statements = ast.parse(source).body
        except SyntaxError:  # a cell with a magic
            continue
        if source.startswith(INJECTED):
            injected = [ast.unparse(s.targets[0]) for s in statements if isinstance(s, ast.Assign)]
        elif statements and isinstance(statements[0], ast.AnnAssign):
            return parse_parameters(source), injected
    raise RuntimeError("check_parameters(): no parameters cell was run before it")

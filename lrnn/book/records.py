"""What a chapter leaves behind: glued numbers and claim rows, carried by its cells' outputs.

The executed notebook is the only record. What is displayed as HTML is carried as data in the
metadata of the same output; a glued value is displayed the way `myst_nb.glue` does it, so that
prose can refer to it.
"""

import html
import math
from typing import Any, NamedTuple

from lrnn.book.register import claim_of

CLAIM_KEY = "lrnn_claim"
VALUE_KEY = "lrnn_value"
VERDICTS = {  # in the order in which the ledger counts them, with their style class
    "holds": "holds",
    "holds with a condition": "condition",
    "does not hold": "fails",
    "not testable here": "untestable",
}


class Row(NamedTuple):
    """One measurement of one claim."""

    id: str
    measure: str
    value: float | None
    expect: tuple[float, float] | None
    verdict: str
    spread: tuple[float, float] | None = None
    spread_kind: str = ""
    seeds: int | None = None
    unit: str = ""
    condition: str = ""
    figure: str = ""
    note: str = ""

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Row":
        """The row that JSON keeps; fields that are not a row's are passed over."""
        values = (fields[name] for name in cls._fields)
        return cls._make(tuple(v) if isinstance(v, list) else v for v in values)

    @property
    def as_expected(self) -> bool:
        """Whether the value lies in its recorded expectation; a row without one always does."""
        if self.expect is None:
            return True
        return self.value is not None and self.expect[0] <= self.value <= self.expect[1]

    @property
    def value_text(self) -> str:
        """Value with unit, spread and number of repetitions, as the ledger shows it."""
        if self.value is None:
            return "–"
        text = f"{self.value:.4g} {self.unit}".strip()
        if self.spread is not None:
            text += f" [{self.spread[0]:.3g}, {self.spread[1]:.3g}]"
        details = [self.spread_kind] if self.spread_kind else []
        if self.seeds is not None:
            details.append(f"{self.seeds} seeds")
        return f"{text} ({', '.join(details)})" if details else text

    @property
    def expect_text(self) -> str:
        """The expectation as an interval."""
        return "–" if self.expect is None else f"[{self.expect[0]:.4g}, {self.expect[1]:.4g}]"

    @property
    def verdict_text(self) -> str:
        """The verdict, with its condition."""
        return f"{self.verdict}: {self.condition}" if self.condition else self.verdict

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        register = claim_of(self.id)
        cells = {
            "Claim": register.text,
            "Measured": self.measure,
            "Value": self.value_text,
            "Expected": self.expect_text,
            "Note": self.note,
        }
        body = "".join(
            f"<dt>{name}</dt><dd>{html.escape(text)}</dd>" for name, text in cells.items() if text
        )
        shown = {
            "text/plain": f"{self.id} {self.verdict_text}: {self.measure} = {self.value_text}",
            "text/html": (
                f'<div class="claim claim-{VERDICTS[self.verdict]}" id="claim-{self.id}">'
                f"<p><b>{self.id}</b> <i>({html.escape(register.place)})</i> "
                f"<strong>{html.escape(self.verdict_text)}</strong></p><dl>{body}</dl></div>"
            ),
        }
        return shown, {CLAIM_KEY: self._asdict()}


def claim(
    id: str,
    measure: str,
    value: float | None,
    *,
    expect: tuple[float, float] | None,
    verdict: str,
    spread: tuple[float, float] | None = None,
    spread_kind: str = "",
    seeds: int | None = None,
    unit: str = "",
    condition: str = "",
    figure: str = "",
    note: str = "",
) -> Row:
    """Record one measurement of a claim; leave the returned row last in its cell.

    id : a claim of the register, or one of its parts: "P14", "P14.b"
    measure : what was measured, one sentence
    value : the measured number; None only if the claim is not testable here
    expect : (low, high), where the value must lie at the published parameters for a build to pass
    verdict : one of VERDICTS; compute it from the value
    spread, spread_kind, seeds : interval, its kind, and the number of independent repetitions
    condition : the condition in words, for that verdict and no other
    figure : label of the figure that shows it
    Raises : ValueError naming the argument, its value and what was expected
    """
    claim_of(id)
    if verdict not in VERDICTS:
        raise ValueError(f"{id}: verdict = {verdict!r}: expected one of {', '.join(VERDICTS)}")
    if (verdict == "holds with a condition") != bool(condition):
        raise ValueError(
            f"{id}: condition = {condition!r} with verdict {verdict!r}: "
            "a condition belongs to 'holds with a condition', and only there"
        )
    if value is None and verdict != "not testable here":
        raise ValueError(f"{id}: value = None: expected a number for the verdict {verdict!r}")
    if value is not None and expect is None:
        raise ValueError(f"{id}: expect = None: expected (low, high) beside the value {value}")
    numbers = [] if value is None else [value, *(spread or ())]
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{id}: value, spread = {value}, {spread}: expected finite numbers")
    return Row(
        id,
        measure,
        None if value is None else float(value),
        None if expect is None else (float(expect[0]), float(expect[1])),
        verdict,
        None if spread is None else (float(spread[0]), float(spread[1])),
        spread_kind,
        None if seeds is None else int(seeds),
        unit,
        condition,
        figure,
        note,
    )


def glue(**values: Any) -> None:
    """Name values for the prose, and show them where they are computed.

    values : name=value, numbers or strings; in prose {glue:text}`name:.2f`
    Raises : ValueError for a value that is neither a number nor a string
    """
    from IPython.display import display

    for name, value in values.items():
        value = value.item() if getattr(value, "shape", None) == () else value  # numpy scalars
        if not isinstance(value, int | float | str):
            raise ValueError(f"{name} = {value!r}: expected a number or a string")
        shown = value if isinstance(value, str) else f"{value:.6g}"
        bundle = {
            # Prose formats the plain text: strings stand as they are, numbers in full.
            "text/plain": value if isinstance(value, str) else repr(value),
            "text/html": f'<div class="glued">{name} = {html.escape(str(shown))}</div>',
        }
        carried = {"name": name, "value": value if _is_json(value) else str(value)}
        glued = {"name": name, "mime_prefix": ""}
        display(bundle, raw=True, metadata={VALUE_KEY: carried, "scrapbook": glued})


def _is_json(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _carried(notebook, key: str) -> list[Any]:
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    return [output.metadata[key] for output in outputs if key in output.get("metadata", {})]


def rows_in(notebook) -> list[Row]:
    """The claim rows that an executed notebook carries."""
    return [Row.from_json(fields) for fields in _carried(notebook, CLAIM_KEY)]


def values_in(notebook) -> dict[str, Any]:
    """The glued values that an executed notebook carries, by name."""
    return {carried["name"]: carried["value"] for carried in _carried(notebook, VALUE_KEY)}

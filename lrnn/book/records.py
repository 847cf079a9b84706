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
        """Whether the value lies in its recorded expectation; a row without either always does."""
        if self.expect is None or self.value is None:
            return True
        return self.expect[0] <= self.value <= self.expect[1]

    @property
    def value_text(self) -> str:
        """Value with unit, spread and number of repetitions, as the ledger shows it."""
        if self.value is None:
            return "–"
        text = f"{self.value:.4g} {self.unit}".strip()
        if self.spread is not None:
            text += f" [{self.spread[0]:.4g}, {self.spread[1]:.4g}]"
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
        expected = f"; expected {self.expect_text}" if self.expect else ""
        cells = {
            "Claim": register.text if self.id in (register.id, f"{register.id}.a") else "",
            "Measured": self.measure,
            "Value": self.value_text + expected if self.value is not None else "",
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
) -> None:
    """Record one measurement of a claim, and show its row on the page.

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
    from IPython.display import display

    row = Row(
        id,
        measure,
        None if value is None else float(value),
        _interval(id, "expect", expect),
        verdict,
        _interval(id, "spread", spread),
        spread_kind,
        None if seeds is None else int(seeds),
        unit,
        condition,
        figure,
        note,
    )
    check_row(row)
    display(row)


def _interval(id: str, name: str, ends: Any) -> tuple[float, float] | None:
    if ends is None:
        return None
    try:
        low, high = map(float, ends)
    except (TypeError, ValueError):
        raise ValueError(f"{id}: {name} = {ends!r}: expected (low, high)") from None
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"{id}: {name} = {ends!r}: expected finite numbers, low <= high")
    return low, high


def check_row(row: Row) -> None:
    """Raise ValueError, naming the claim and the argument, if a row does not say what it must."""
    claim_of(row.id)
    if row.verdict not in VERDICTS:
        raise ValueError(
            f"{row.id}: verdict = {row.verdict!r}: expected one of {', '.join(VERDICTS)}"
        )
    if (row.verdict == "holds with a condition") != bool(row.condition):
        raise ValueError(
            f"{row.id}: condition = {row.condition!r} with verdict {row.verdict!r}: "
            "a condition belongs to 'holds with a condition', and only there"
        )
    if (row.value is None) != (row.verdict == "not testable here"):
        raise ValueError(
            f"{row.id}: value = {row.value} with verdict {row.verdict!r}: "
            "no value belongs to 'not testable here', and only there"
        )
    if (row.value is None) != (row.expect is None):
        raise ValueError(f"{row.id}: expect = {row.expect}: expected (low, high) beside a value")
    if row.value is not None and not math.isfinite(row.value):
        raise ValueError(f"{row.id}: value = {row.value}: expected a finite number")


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

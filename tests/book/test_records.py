"""Claim rows and glued values: refused when malformed, read back from a notebook unchanged."""

import io
import math

import numpy as np
import pytest
from displayed import displayed
from nbformat import v4
from rich.console import Console

from lrnn.book import claim, glue
from lrnn.book.ledger import Entry, Ledger
from lrnn.book.records import Row, rows_in, values_in
from lrnn.book.register import register

GOOD = {"expect": (0, 2), "verdict": "holds"}


def test_register_has_every_claim_of_the_three_sources():
    ids = [*(f"P{i}" for i in range(1, 21)), *(f"F{i}" for i in range(1, 17))]
    assert list(register()) == ids + [f"T{i}" for i in range(1, 12)]


@pytest.mark.parametrize(
    ("id", "value", "change", "message"),
    [
        ("P99", 1, {}, "no such claim"),
        ("P5", 1, {"verdict": "true"}, "verdict = 'true'"),
        ("P5", 1, {"verdict": "holds with a condition"}, "condition"),
        ("P5", 1, {"condition": "if so"}, "condition"),
        ("P5", None, {}, "value = None"),
        ("P5", 1, {"expect": None}, "expect = None"),
        ("P5", math.nan, {}, "finite"),
        ("P5", 1, {"spread": (0, math.inf)}, "spread"),
        ("P5", 1, {"expect": (0, math.inf)}, "expect"),
        ("P5", 1, {"expect": (2, 0)}, "expect"),
        ("P5", 1, {"expect": 2}, "expect"),
        ("P5", 1, {"verdict": "not testable here"}, "not testable here"),
    ],
)
def test_malformed_claims_are_refused(id, value, change, message):
    with pytest.raises(ValueError, match=message):
        claim(id, "what", value, **{**GOOD, **change})


@pytest.mark.parametrize(("value", "inside"), [(0, True), (2, True), (2.00001, False)])
def test_expectation_is_a_closed_interval_and_faults_show_all_digits(value, inside):
    row = Row("P5", "what", value, (0.0, 2.0), "holds")
    assert row.as_expected is inside
    assert Ledger([Entry(row, "a")]).faults == (
        [] if inside else ["P5 (a): what is 2.00001, expected (0.0, 2.0)"]
    )


def shown_by(cell):
    """A notebook of one cell, with what its code displays as a kernel would keep it."""
    outputs = [
        v4.new_output("display_data", data=shown.data, metadata=shown.metadata)
        for shown in displayed(cell)
    ]
    return v4.new_notebook(cells=[v4.new_code_cell(outputs=outputs)])


def two_claims():
    claim("F1", "late", 1, expect=(0, 2), verdict="does not hold", spread=(0, 1))
    claim("P6.a", "J[post, pre]", np.float32(5), seeds=8, unit="s", figure="fig", **GOOD)


def test_every_claim_of_a_cell_is_recorded_sorted_and_scored():
    notebook = shown_by(two_claims)
    late, early = rows_in(notebook)
    assert (late.id, late.spread, early.value) == ("F1", (0.0, 1.0), 5.0)
    assert early.value_text == "5 s (8 seeds)"
    assert 'class="claim claim-holds"' in notebook.cells[0].outputs[1].data["text/html"]
    ledger = Ledger.of({"chapters/x": notebook})
    assert [entry.row.id for entry in ledger.entries] == ["P6.a", "F1"]
    assert ledger.score["does not hold"] == 1
    assert {"P6", "F1"}.isdisjoint(c.id for c in ledger.open)
    assert len(ledger.open) == len(register()) - 2
    assert Ledger.from_json(ledger.to_json()) == ledger


def test_a_row_recorded_twice_is_a_fault():
    notebook = shown_by(lambda: claim("P5", "what", 1, **GOOD))
    assert Ledger.of({"a": notebook, "b": notebook}).faults == ["P5: recorded 2 times"]


def test_terminal_ledger_keeps_brackets():
    console = Console(width=200, file=io.StringIO())
    console.print(Ledger.of({"chapters/x": shown_by(two_claims)}).table())
    assert "J[post, pre]" in console.file.getvalue()


def test_glue_shows_and_carries_the_number():
    notebook = shown_by(lambda: glue(rate=np.float64(0.123456789), word="holds"))
    assert values_in(notebook) == {"rate": 0.123456789, "word": "holds"}
    first = notebook.cells[0].outputs[0]
    assert first.data["text/plain"] == "0.123456789"  # what prose formats
    assert first.metadata["scrapbook"]["name"] == "rate"
    with pytest.raises(ValueError, match="array = "):
        glue(array=np.zeros(2))

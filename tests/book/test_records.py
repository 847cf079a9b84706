"""Claim rows and glued values: refused when malformed, read back from a notebook unchanged."""

import math

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from nbformat import v4

from lrnn.book import claim, glue
from lrnn.book.ledger import Ledger
from lrnn.book.records import rows_in, values_in
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
        ("P5", 1, {"spread": (0, math.inf)}, "finite"),
    ],
)
def test_malformed_claims_are_refused(id, value, change, message):
    with pytest.raises(ValueError, match=message):
        claim(id, "what", value, **{**GOOD, **change})


@pytest.mark.parametrize(("value", "inside"), [(0, True), (2, True), (2.001, False)])
def test_expectation_is_a_closed_interval(value, inside):
    assert claim("P5", "what", value, **GOOD).as_expected is inside


def test_row_says_value_spread_and_seeds():
    row = claim("P5", "what", np.float32(1.5), spread=(1, 2), seeds=8, unit="s", **GOOD)
    assert row.value_text == "1.5 s [1, 2] (8 seeds)"
    shown, carried = row._repr_mimebundle_()
    assert 'class="claim claim-holds"' in shown["text/html"]
    assert carried["lrnn_claim"]["value"] == 1.5


def notebook_of(*rows):
    """A notebook whose cells show the rows, as a kernel would leave it."""
    outputs = []
    for row in rows:
        data, metadata = row._repr_mimebundle_()
        outputs.append(v4.new_output("execute_result", data=data, metadata=metadata))
    return v4.new_notebook(cells=[v4.new_code_cell(outputs=[output]) for output in outputs])


def test_rows_survive_the_notebook_and_the_ledger_sorts_and_scores_them():
    late = claim("F1", "late", 1, expect=(0, 2), verdict="does not hold", spread=(0, 1))
    early = claim("P6.a", "early", 5, **GOOD)
    notebook = notebook_of(late, early)
    assert rows_in(notebook) == [late, early]
    ledger = Ledger.of({"chapters/x": notebook})
    assert [entry.row.id for entry in ledger.entries] == ["P6.a", "F1"]
    assert ledger.score["does not hold"] == 1
    assert ledger.faults == ["P6.a (chapters/x): early is 5, expected [0, 2]"]
    assert {"P6", "F1"}.isdisjoint(c.id for c in ledger.open)
    assert len(ledger.open) == len(register()) - 2
    assert Ledger.from_json(ledger.to_json()) == ledger


def test_a_row_recorded_twice_is_an_error():
    row = claim("P5", "what", 1, **GOOD)
    assert Ledger.of({"a": notebook_of(row), "b": notebook_of(row)}).faults == [
        "P5: recorded 2 times"
    ]


def test_glue_shows_and_carries_the_number():
    InteractiveShell.instance()
    with capture_output() as captured:
        glue(rate=np.float64(0.123456789), word="holds")
    outputs = [
        v4.new_output("display_data", data=shown.data, metadata=shown.metadata)
        for shown in captured.outputs
    ]
    notebook = v4.new_notebook(cells=[v4.new_code_cell(outputs=outputs)])
    assert values_in(notebook) == {"rate": 0.123456789, "word": "holds"}
    assert outputs[0].data["text/plain"] == "0.123456789"  # what prose formats
    assert outputs[0].metadata["scrapbook"]["name"] == "rate"
    with pytest.raises(ValueError, match="array = "):
        glue(array=np.zeros(2))

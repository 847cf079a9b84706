"""The ledger: every row that the chapters recorded, beside every claim of the register."""

from collections import Counter
from typing import Any, NamedTuple

from nbformat import NotebookNode
from rich.markup import escape
from rich.table import Table

from lrnn.book.records import VERDICTS, Row, rows_in
from lrnn.book.register import Claim, claim_of, register


class Entry(NamedTuple):
    """A row and the page it stands on."""

    row: Row
    docname: str


class Ledger(NamedTuple):
    """All rows, in the order of the register."""

    entries: list[Entry]

    @classmethod
    def of(cls, notebooks: dict[str, NotebookNode]) -> "Ledger":
        """Collect the rows of executed notebooks, given by docname."""
        entries = [Entry(row, docname) for docname, nb in notebooks.items() for row in rows_in(nb)]
        order = list(register())
        entries.sort(key=lambda e: (order.index(claim_of(e.row.id).id), e.row.id))
        return cls(entries)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Ledger":
        """The ledger that `to_json` wrote."""
        return cls([Entry(Row.from_json(row), row["page"]) for row in data["rows"]])

    def to_json(self) -> dict[str, Any]:
        """Plain data for `claims.json`: rows, the score, and the claims without a row."""
        rows = []
        for entry in self.entries:
            claim = claim_of(entry.row.id)
            about = {"claim": claim.text, "source": claim.source, "place": claim.place}
            rows.append(
                {
                    **entry.row._asdict(),
                    **about,
                    "page": entry.docname,
                    "as_expected": entry.row.as_expected,
                }
            )
        open_ids = [claim.id for claim in self.open]
        return {"score": self.score, "open": open_ids, "rows": rows}

    @property
    def open(self) -> list[Claim]:
        """Claims of the register without a row."""
        closed = {claim_of(entry.row.id).id for entry in self.entries}
        return [claim for claim in register().values() if claim.id not in closed]

    @property
    def score(self) -> dict[str, int]:
        """Number of rows by verdict."""
        count = Counter(entry.row.verdict for entry in self.entries)
        return {verdict: count[verdict] for verdict in VERDICTS}

    @property
    def faults(self) -> list[str]:
        """What keeps a build from passing: rows outside their expectation, ids used twice."""
        faults = [
            f"{row.id} ({docname}): {row.measure} is {row.value!r}, expected {row.expect}"
            for row, docname in self.entries
            if not row.as_expected
        ]
        count = Counter(entry.row.id for entry in self.entries)
        return faults + [f"{id}: recorded {n} times" for id, n in count.items() if n > 1]

    @property
    def summary(self) -> str:
        """The score in one line."""
        parts = [f"{verdict} {count}" for verdict, count in self.score.items()]
        return f"{len(self.entries)} rows: {', '.join(parts)}; {len(self.open)} claims open"

    def table(self) -> Table:
        """The ledger for a terminal."""
        table = Table("id", "verdict", "measured", "value", "expected")
        for row, _ in self.entries:
            mark = "" if row.as_expected else " ← outside"
            cells = [row.id, row.verdict_text, row.measure, row.value_text, row.expect_text + mark]
            table.add_row(*map(escape, cells))  # [target, source] is no markup
        for claim in self.open:
            table.add_row(claim.id, "open", claim.text, "–", "–")
        return table

"""Sphinx extension of the book.

The ledger's page, its score, numbers for figures in frames, and mathematics without a network.
"""

import html
import json
import os
from importlib.metadata import files
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.docutils import SphinxDirective
from sphinx.util.fileutil import copy_asset_file

from lrnn.book.frames import Component
from lrnn.book.ledger import Entry, Ledger
from lrnn.book.records import VERDICTS
from lrnn.book.register import Claim, claim_of

STATIC = Path(__file__).parent / "static"
MATHJAX_FILES = ("tex-mml-chtml.js", "output/chtml/fonts/woff-v2/")


class LedgerDirective(SphinxDirective):
    """What the two directives share: reading the ledger, and following it in incremental builds."""

    def claims(self) -> tuple[Ledger, dict[str, float]]:
        """The ledger of the last build, and the seconds of each page; empty before the first."""
        path = Path(self.env.srcdir) / "_build" / "claims.json"
        self.env.note_dependency(str(path))
        if not path.is_file():
            return Ledger([]), {}
        data = json.loads(path.read_text(encoding="utf-8"))
        return Ledger.from_json(data), data["seconds"]


class ClaimsScore(LedgerDirective):
    """`{claims-score}`: the number of rows by verdict, and of claims still open."""

    def run(self) -> list[nodes.Node]:
        ledger, _ = self.claims()
        counts = [(*item, VERDICTS[item[0]]) for item in ledger.score.items()]
        counts.append(("still open", len(ledger.open), "open"))
        boxes = "".join(
            f'<li class="score score-{style}"><b>{count}</b> {name}</li>'
            for name, count, style in counts
        )
        return [nodes.raw("", f'<ul class="claims-score">{boxes}</ul>', format="html")]


class ClaimsLedger(LedgerDirective):
    """`{claims-ledger}`: all rows and open claims, filtered by source, chapter and verdict."""

    def address(self, entry: Entry) -> str:
        """Where the row's figure, or the row itself, stands, seen from this page."""
        page = self.env.app.builder.get_relative_uri(self.env.docname, entry.docname)
        return f"{page}#{entry.row.figure or f'claim-{entry.row.id}'}"

    def run(self) -> list[nodes.Node]:
        ledger, seconds = self.claims()
        rows = [_ledger_row(entry, self.address(entry)) for entry in ledger.entries]
        rows += [_open_row(claim) for claim in ledger.open]
        chapters = sorted({entry.docname.rpartition("/")[2] for entry in ledger.entries})
        controls = "".join(
            _select(name, options)
            for name, options in {
                "source": ["P", "F", "T"],
                "chapter": chapters,
                "verdict": [*VERDICTS, "open"],
            }.items()
        )
        heads = "".join(
            f"<th>{h}</th>" for h in ("Claim", "Verdict", "Measured", "Value", "Expected")
        )
        table = f'<table class="table claims-ledger"><thead><tr>{heads}</tr></thead>'
        body = f"<tbody>{''.join(rows)}</tbody></table>"
        status = '<p class="claims-count" role="status"></p>'
        scroll = f'<div class="claims-scroll" tabindex="0">{table}{body}</div>'
        times = ", ".join(f"{n.rpartition('/')[2]} in {s:.0f} s" for n, s in seconds.items())
        ran = f'<p class="claims-times">Executed, one core each: {times}.</p>' if times else ""
        page = f'<form class="claims-filter">{controls}</form>{status}{scroll}{ran}'
        return [nodes.raw("", page, format="html")]


def _select(name: str, options: list[str]) -> str:
    listed = "".join(f'<option value="{o}">{o}</option>' for o in options)
    choice = f'<select name="{name}"><option value="">all</option>{listed}</select>'
    return f"<label>{name} {choice}</label>"


def _row(claim: Claim, id: str, chapter: str, verdict: str, cells: list[str]) -> str:
    data = f'data-source="{claim.source}" data-chapter="{chapter}" data-verdict="{verdict}"'
    title = f"<b>{id}</b> {html.escape(claim.text)} <i>({html.escape(claim.place)})</i>"
    style = f"claim-{VERDICTS.get(verdict, 'open')}"
    rest = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr id="{id}" class="{style}" {data}><td>{title}</td>{rest}</tr>'


def _ledger_row(entry: Entry, address: str) -> str:
    row, docname = entry
    link = f'<a href="{address}">{"figure" if row.figure else "row"}</a>'
    outside = "" if row.as_expected else " <strong>outside</strong>"
    cells = [
        f"<strong>{html.escape(row.verdict_text)}</strong>",
        f"{html.escape(row.measure)} ({link})",
        html.escape(row.value_text),
        row.expect_text + outside,
    ]
    return _row(claim_of(row.id), row.id, docname.rpartition("/")[2], row.verdict, cells)


def _open_row(claim: Claim) -> str:
    return _row(claim, claim.id, "", "open", ["open", "not measured yet", "–", "–"])


class NumberedFrames(SphinxTransform):
    """Make what `lrnn.book.frames` displays a figure with a number, like that of any other cell."""

    default_priority = 400  # before Sphinx collects labels, and sets the caption's quotation marks

    def apply(self, **kwargs) -> None:
        for output in list(self.document.findall(nodes.container)):
            if output.get("nb_element") != "mime_bundle":
                continue
            for raw in list(output.findall(nodes.raw)):
                if component := Component.from_html(raw.astext()):
                    raw[:] = [nodes.Text(component.inside)]
                    figure = self.figure(component, output)
                    output.replace_self(figure)
                    figure.insert(0, output)

    def figure(self, component: Component, place: nodes.Element) -> nodes.figure:
        """The figure that an output at this place in the source goes into."""
        caption = nodes.caption("", component.caption)
        # Its own id, since Sphinx would make another of a name with capitals or underscores.
        figure = nodes.figure("", caption, ids=[component.name], classes=["frames"])
        figure["names"].append(nodes.fully_normalize_name(component.name))
        for node in (caption, figure):
            node.source, node.line = place.source, place.line
        self.document.note_explicit_target(figure, figure)
        return figure


def copy_mathjax(app: Sphinx) -> None:
    """Put MathJax, its fonts and its licence beside the site's other files."""
    if app.builder.format != "html":
        return
    target = Path(app.outdir) / "_static" / "mathjax"
    for file in files("sphinx-mathjax-offline") or []:
        inside = str(file).partition("/static/mathjax/")[2]
        if inside.startswith(MATHJAX_FILES):
            (target / inside).parent.mkdir(parents=True, exist_ok=True)
            copy_asset_file(str(file.locate()), str(target / inside))
    copy_asset_file(str(STATIC / "MATHJAX-LICENSE"), str(target / "LICENSE"))


def publish_here(app: Sphinx, config) -> None:
    """On GitHub, point the page's buttons at the repository that is being built."""
    if repository := os.environ.get("GITHUB_REPOSITORY"):
        config.html_theme_options["repository_url"] = f"https://github.com/{repository}"


def setup(app: Sphinx) -> dict:
    """Register the directives, the transform, and what happens when a build begins."""
    app.add_directive("claims-score", ClaimsScore)
    app.add_directive("claims-ledger", ClaimsLedger)
    app.add_transform(NumberedFrames)
    app.connect("config-inited", publish_here)
    app.connect("builder-inited", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

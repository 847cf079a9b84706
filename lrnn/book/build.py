"""The build: execute what has changed, collect the ledger, render the site."""

import os
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

from lrnn.book.chapter import Book, Chapter
from lrnn.book.execute import Job, Watch, execute_all, write_json
from lrnn.book.fingerprint import run_key
from lrnn.book.ledger import Ledger
from lrnn.book.render import render_book


class Built(NamedTuple):
    """What a build came to.

    errors : what failed, each in a few lines for the user
    ledger : rows of all chapters that are whole
    site : the page to open, if the site was rendered
    """

    errors: list[str]
    ledger: Ledger
    site: Path | None


def build(book: Book, *, watch: Watch, workers: int | None = None) -> Built:
    """Build the book.

    watch : shows the progress of executions and passes on their endings
    workers : chapters executed at a time; the number of cores if None
    """
    jobs = stale_jobs(book)
    failed = {}
    if jobs:
        events = execute_all(jobs, workers=min(workers or os.cpu_count() or 1, len(jobs)))
        ended = watch([job.name for job in jobs], events)
        failed = {end.name: end.error for end in ended if end.error}
    errors = [f"{name}: {error}" for name, error in failed.items()]
    whole = {c.docname: _with_outputs(c, book) for c in book.chapters if c.stem not in failed}
    errors += [fault for docname, notebook in whole.items() for fault in _noise(docname, notebook)]
    ledger = Ledger.of(whole)
    seconds = {docname: notebook.metadata.lrnn_run.seconds for docname, notebook in whole.items()}
    write_json(book.output / "claims.json", {**ledger.to_json(), "seconds": seconds})
    errors += ledger.faults
    site = None
    if not failed:
        if error := render_book(book, whole):
            errors.append(error)
        else:
            site = book.output / "html" / "index.html"
    return Built(errors, ledger, site)


def executed_path(book: Book, chapter: Chapter) -> Path:
    """Where the executed notebook of a chapter's published run is kept."""
    return book.output / "executed" / f"{chapter.stem}.ipynb"


def stale_jobs(book: Book) -> list[Job]:
    """The chapters whose published run is not there, or is that of another state of things.

    Raises : ParameterError if a chapter's parameters or presets are not well formed
    """
    jobs = []
    for chapter in book.chapters:
        values = chapter.values({})
        for preset in chapter.presets:
            chapter.values({}, preset)
        folder = chapter.path.parent
        key = run_key(chapter.code, values, folder=folder, lock=book.lock)
        output = executed_path(book, chapter)
        if _key_of(output) != key:
            job = Job(chapter.stem, chapter.notebook, {}, folder, output, {"key": key})
            jobs.append(job)
    return jobs


def _key_of(path: Path) -> str | None:
    """The key of an executed notebook; None if there is none that can be read."""
    try:
        return nbformat.read(path, 4).metadata.lrnn_run.key
    except (OSError, ValueError, AttributeError):
        return None


def _with_outputs(chapter: Chapter, book: Book) -> NotebookNode:
    """The chapter as written now, whose prose may be newer, with the outputs of its execution."""
    notebook = nbformat.from_dict(chapter.notebook)
    executed = nbformat.read(executed_path(book, chapter), 4)
    ran = (cell for cell in executed.cells if cell.cell_type == "code")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            source = next(ran)
            cell.outputs, cell.execution_count = source.outputs, source.execution_count
    notebook.metadata["lrnn_run"] = executed.metadata.lrnn_run
    return notebook


def _noise(docname: str, notebook: NotebookNode) -> list[str]:
    """What cells wrote to stderr: it would stand on the page, with the paths of this machine."""
    return [
        f"{docname}: cell {number} writes to stderr: {output.text.strip()}"
        for number, cell in enumerate(notebook.cells, start=1)
        for output in cell.get("outputs", [])
        if output.get("name") == "stderr"
    ]

"""The build: execute what has changed, collect the ledger, render the site from the cache."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbformat import NotebookNode

from lrnn.book.chapter import Book, Chapter
from lrnn.book.execute import Finished, Job, Started, execute_all, write_json
from lrnn.book.fingerprint import run_key
from lrnn.book.ledger import Ledger

LOCK = "requirements.lock"
JUPYTER_BOOK = str(Path(sys.executable).with_name("jupyter-book"))
Watch = Callable[[list[str], Iterable[Started | Finished]], Iterator[Finished]]


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
    ended = list(_execute_stale(book, watch, workers or os.cpu_count() or 1))
    failed = {end.name: end.error for end in ended if end.error}
    errors = [f"{name}: {error}" for name, error in failed.items()]
    whole = {c.docname: _with_outputs(c, book) for c in book.chapters if c.stem not in failed}
    ledger = Ledger.of(whole)
    seconds = {docname: notebook.metadata.lrnn_run.seconds for docname, notebook in whole.items()}
    write_json(book.output / "claims.json", {**ledger.to_json(), "seconds": seconds})
    errors += ledger.faults
    site = None
    if not failed:
        _fill_cache(book, whole)
        if error := _render(book):
            errors.append(error)
        else:
            _offer_downloads(book, whole)
            site = book.output / "html" / "index.html"
    return Built(errors, ledger, site)


def executed_path(book: Book, chapter: Chapter) -> Path:
    """Where the executed notebook of a chapter's published run is kept."""
    return book.output / "executed" / f"{chapter.stem}.ipynb"


def _execute_stale(book: Book, watch: Watch, workers: int) -> Iterator[Finished]:
    jobs = []
    for chapter in book.chapters:
        values = chapter.values({})
        folder = chapter.path.parent
        key = run_key(chapter.code, values, folder=folder, lock=book.root / LOCK)
        output = executed_path(book, chapter)
        if not output.is_file() or nbformat.read(output, 4).metadata.lrnn_run.key != key:
            job = Job(chapter.stem, chapter.notebook, {}, folder, output, {"key": key})
            jobs.append(job)
    if jobs:
        names = [job.name for job in jobs]
        yield from watch(names, execute_all(jobs, workers=min(workers, len(jobs))))


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


def _fill_cache(book: Book, notebooks: dict[str, NotebookNode]) -> None:
    """Give Jupyter Book its cache hits, and have it read again the pages whose outputs are new."""
    cache = get_cache(book.output / ".jupyter_cache")
    for docname, notebook in notebooks.items():
        stamp = book.output / "cached" / f"{docname}.ipynb"
        text = nbformat.writes(notebook)
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == text:
            with suppress(KeyError):
                cache.match_cache_notebook(notebook)
                continue
        cache.cache_notebook_bundle(
            CacheBundleIn(notebook, str(book.root / f"{docname}.md")),
            check_validity=False,
            overwrite=True,
        )
        (book.output / ".doctrees" / f"{docname}.doctree").unlink(missing_ok=True)
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(text, encoding="utf-8")  # last: it says that all this is done


def _offer_downloads(book: Book, notebooks: dict[str, NotebookNode]) -> None:
    """Put executed notebooks behind the download buttons: from cached pages they come empty."""
    for docname, notebook in notebooks.items():
        nbformat.write(notebook, book.output / "html" / "_sources" / f"{docname}.ipynb")


def _render(book: Book) -> str:
    """Run Jupyter Book with warnings as errors; returns what went wrong, or nothing."""
    command = [JUPYTER_BOOK, "build", "-W", "-n", "--keep-going", str(book.root)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"NO_COLOR": "1"}
    )
    log = done.stdout + done.stderr
    (book.output / "jupyter-book.log").write_text(log, encoding="utf-8")
    if "Executing notebook" in log:
        return "a page missed the cache and was executed a second time: a fault of lrnn.book"
    index = book.output / "html" / "index.html"
    if done.returncode == 0 and index.is_file():
        return ""
    told = re.findall(r".*(?:WARNING|ERROR|Error:).*", log) or log.splitlines()[-15:]
    return (
        "jupyter-book failed:\n"
        + "\n".join(told[:30])
        + f"\nlog: {book.output / 'jupyter-book.log'}"
    )

"""One parameterised run of a chapter: executed notebook, figures and results in one folder."""

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from filelock import FileLock
from nbformat import NotebookNode

from lrnn.book.chapter import Book, BookError, Chapter
from lrnn.book.execute import Job, Watch, execute_all, write_json
from lrnn.book.fingerprint import installed_versions, run_key
from lrnn.book.frames import Component
from lrnn.book.records import rows_in, values_in

FAILED = "failed.json"  # a sweep's word that a run has failed, and why
LOCK = ".lock"  # held by whoever makes the run
# What an unfinished run leaves.
OWN = {"executed.ipynb", "executed.partial.ipynb", "figures", FAILED, LOCK}
FIGURES = {"image/svg+xml": "svg", "image/png": "png"}


class Run(NamedTuple):
    """A run's folder and what is known of it.

    folder : holds executed.ipynb, results.json and figures/
    fresh : whether it was executed now, or recognised as already there
    error : why it failed, in lines for the user, or nothing
    """

    folder: Path
    fresh: bool
    error: str = ""

    @property
    def results(self) -> dict[str, Any]:
        """What `results.json` says."""
        return json.loads((self.folder / "results.json").read_text(encoding="utf-8"))


def run(
    book: Book, chapter: Chapter, values: dict[str, Any], *, watch: Watch, folder: Path | None
) -> Run:
    """Execute a chapter once; the same run again is recognised, another run is never overwritten.

    values : all parameter values, as `Chapter.values` gives them
    folder : where to leave the run; `runs/CHAPTER/KEY` in the book if None
    Raises : BookError if the folder already holds something else
    """
    key = run_key(chapter.code, values, folder=chapter.path.parent, lock=book.lock)
    folder = folder or book.root / "runs" / chapter.stem / key
    if _is_run(folder, key):
        return Run(folder, fresh=False)
    job = job_of(chapter, values, key, folder)
    with FileLock(folder / LOCK):
        if _is_run(folder, key):  # made by a sweep meanwhile
            return Run(folder, fresh=False)
        [ended] = watch([job.name], execute_all([job], workers=1))
        if not ended.error:
            write_results(job, facts_of(chapter, values, key) | provenance(book), ended.seconds)
    return Run(folder, fresh=True, error=ended.error)


def job_of(
    chapter: Chapter, values: dict[str, Any], key: str, folder: Path, limit: float | None = None
) -> Job:
    """The job that makes a run in its folder."""
    return Job(
        chapter.stem,
        chapter.notebook,
        chapter.changed(values),
        chapter.path.parent,
        folder / "executed.ipynb",
        {"key": key},
        limit,
    )


def facts_of(chapter: Chapter, values: dict[str, Any], key: str) -> dict[str, Any]:
    """What is known of a run before it is made."""
    return {
        "chapter": chapter.stem,
        "key": key,
        "parameters": values,
        "published": not chapter.changed(values),
        "seed": values.get("seed"),
    }


def provenance(book: Book) -> dict[str, Any]:
    """The state of the book and of its packages, which runs made together share."""
    return {"commit": _commit(book.root), "versions": installed_versions(book.lock)}


def write_results(job: Job, facts: dict[str, Any], seconds: float) -> None:
    """Write the figures and results of a job that has ended well, beside its notebook."""
    notebook = nbformat.read(job.output, 4)
    folder = job.output.parent
    _write_figures(notebook, folder / "figures")
    found = {
        "seconds": seconds,
        "values": values_in(notebook),
        "claims": [row._asdict() | {"as_expected": row.as_expected} for row in rows_in(notebook)],
    }
    write_json(folder / "results.json", facts | found)  # last: it says that the run is whole
    (folder / FAILED).unlink(missing_ok=True)


def _is_run(folder: Path, key: str) -> bool:
    """Whether the folder holds this run, whole.

    Raises : BookError if it holds anything else, or cannot be made
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BookError(f"no run can be left in {folder}: {error.strerror}") from None
    inside = {path.name for path in folder.iterdir()}
    if "results.json" not in inside:
        strangers = inside - OWN
    elif _key_in(folder / "results.json") == key:
        return True
    else:
        strangers = {"results.json"}
    if strangers:
        names = ", ".join(sorted(strangers))
        raise BookError(f"{folder} holds something else ({names}), which is not overwritten")
    return False


def _key_in(path: Path) -> str | None:
    """The key in a `results.json`; None if it is nothing of ours."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["key"]
    except (ValueError, LookupError, TypeError):
        return None


def _commit(root: Path) -> str:
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def _images(notebook: NotebookNode) -> Iterator[tuple[str, bytes]]:
    """Name and content of each figure: the label where the cell has one, its number elsewhere.

    A figure in frames gives each of them, in order: fig-name-001.svg, fig-name-002.svg.
    """
    for number, cell in enumerate(notebook.cells, start=1):
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        name = figure.get("name", f"cell-{number:02d}")
        found = 0
        for output in cell.get("outputs", []):
            if component := Component.from_html(output.get("data", {}).get("text/html", "")):
                for index, (ending, content) in enumerate(component.images, start=1):
                    yield f"{component.name}-{index:03d}.{ending}", content
                continue
            for mime, ending in FIGURES.items():
                if mime in output.get("data", {}):
                    found += 1
                    data = output["data"][mime]
                    content = data.encode() if ending == "svg" else base64.b64decode(data)
                    suffix = f"-{found}" if found > 1 else ""
                    yield f"{name}{suffix}.{ending}", content
                    break


def _write_figures(notebook: NotebookNode, folder: Path) -> None:
    for name, content in _images(notebook):
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)

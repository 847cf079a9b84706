"""One parameterised run of a chapter: executed notebook, figures and results in one folder."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import yaml
from nbformat import NotebookNode

from lrnn.book.build import JUPYTER_BOOK, LOCK, Watch
from lrnn.book.chapter import Book, BookError, Chapter
from lrnn.book.execute import Job, execute_all, write_json
from lrnn.book.fingerprint import installed_versions, run_key
from lrnn.book.records import rows_in, values_in

OWN = {"executed.ipynb", "executed.partial.ipynb", "figures"}  # what an unfinished run leaves
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
    key = run_key(chapter.code, values, folder=chapter.path.parent, lock=book.root / LOCK)
    folder = folder or book.root / "runs" / chapter.stem / key
    if (folder / "results.json").is_file():
        done = Run(folder, fresh=False)
        if done.results["key"] == key:
            return done
        raise BookError(f"{folder} holds another run, which is not overwritten")
    strangers = {p.name for p in folder.iterdir()} - OWN if folder.is_dir() else set()
    if strangers:
        raise BookError(f"{folder} holds other files ({', '.join(sorted(strangers))})")
    changed = chapter.changed(values)
    output = folder / "executed.ipynb"
    job = Job(chapter.stem, chapter.notebook, changed, chapter.path.parent, output, {"key": key})
    [ended] = watch([job.name], execute_all([job], workers=1))
    if ended.error:
        return Run(folder, fresh=True, error=ended.error)
    notebook = nbformat.read(output, 4)
    _write_figures(notebook, folder / "figures")
    results = {
        "chapter": chapter.stem,
        "key": key,
        "parameters": values,
        "published": not changed,
        "seed": values.get("seed"),
        "seconds": ended.seconds,
        "commit": _commit(book.root),
        "versions": installed_versions(book.root / LOCK),
        "values": values_in(notebook),
        "claims": [row._asdict() | {"as_expected": row.as_expected} for row in rows_in(notebook)],
    }
    write_json(folder / "results.json", results)  # last: it says that the run is whole
    return Run(folder, fresh=True)


def _commit(root: Path) -> str:
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def _images(notebook: NotebookNode) -> Iterator[tuple[str, bytes]]:
    """Name and content of each figure: the label where the cell has one, its number elsewhere."""
    for number, cell in enumerate(notebook.cells, start=1):
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        name = figure.get("name", f"cell-{number:02d}")
        found = 0
        for output in cell.get("outputs", []):
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


def render(book: Book, done: Run) -> Path:
    """Make a page of a run, with its glued numbers and figures; returns the file to open.

    Raises : BookError if Jupyter Book makes no page
    """
    target = done.folder / "html"
    if (target / "executed.html").is_file():
        return target / "executed.html"
    with tempfile.TemporaryDirectory() as staged:
        stage = Path(staged)
        shutil.copy(done.folder / "executed.ipynb", stage)
        for name in ("_static", "chapters"):  # styles, and the bibliography
            if (book.root / name).is_dir():
                shutil.copytree(book.root / name, stage / name)
        config = yaml.safe_load((book.root / "_config.yml").read_text(encoding="utf-8"))
        config["execute"] = {"execute_notebooks": "off"}
        (stage / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        (stage / "_toc.yml").write_text("format: jb-book\nroot: executed\n", encoding="utf-8")
        command = [JUPYTER_BOOK, "build", str(stage)]
        log = subprocess.run(command, capture_output=True, text=True)
        if not (stage / "_build/html/executed.html").is_file():
            raise BookError("jupyter-book made no page:\n" + (log.stdout + log.stderr)[-2000:])
        partial = done.folder / f".html.{os.getpid()}"
        shutil.copytree(stage / "_build/html", partial)
        partial.rename(target)
    return target / "executed.html"

"""Plain notebooks of the chapters, for everybody else's tools."""

import hashlib
import json
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from lrnn.book.chapter import BookError, Chapter


def write_notebook(chapter: Chapter, folder: Path) -> Path:
    """Write a chapter as .ipynb; one that was edited since it was written is never overwritten.

    Returns : the file
    Raises : BookError if the file there is not as we wrote it
    """
    path = folder / f"{chapter.stem}.ipynb"
    if path.is_file() and not _is_ours(path):
        raise BookError(f"{path} was edited since it was written, and is not overwritten")
    notebook = nbformat.from_dict(chapter.notebook)
    notebook.metadata["lrnn_written"] = _digest(notebook)
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def _is_ours(path: Path) -> bool:
    try:
        notebook = nbformat.read(path, 4)
    except ValueError:
        return False
    return notebook.metadata.get("lrnn_written") == _digest(notebook)


def _digest(notebook: NotebookNode) -> str:
    cells = [[cell.cell_type, cell.source, cell.get("outputs", [])] for cell in notebook.cells]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()

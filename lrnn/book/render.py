"""Pages from executed notebooks, by Jupyter Book, which executes nothing."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import nbformat
import yaml
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbformat import NotebookNode

from lrnn.book.chapter import Book, BookError

JUPYTER_BOOK = str(Path(sys.executable).with_name("jupyter-book"))
REPOSITORY_BUTTONS = ("use_repository_button", "use_issues_button", "use_edit_page_button")


def render_book(book: Book, notebooks: dict[str, NotebookNode]) -> str:
    """Render the site, warnings being errors; returns what went wrong, or nothing.

    notebooks : the executed chapters, by docname
    """
    _forget_unfinished(book)
    _fill_cache(book, notebooks)
    log, failed = _jupyter_book(book.root, "-W", "-n", "--keep-going")
    (book.output / "jupyter-book.log").write_text(log, encoding="utf-8")
    if "Executing notebook" in log:
        return "a page missed the cache and was executed a second time: a fault of lrnn.book"
    if failed or not (book.output / "html" / "index.html").is_file():
        told = re.findall(r".*(?:WARNING|ERROR|Error:).*", log) or log.splitlines()[-15:]
        where = book.output / "jupyter-book.log"
        return "\n".join(["jupyter-book failed:", *told[:30], f"log: {where}"])
    _offer_downloads(book, notebooks)
    _rendered(book).write_text("\n".join(book.docnames), encoding="utf-8")
    return ""


def _jupyter_book(folder: Path, *options: str) -> tuple[str, bool]:
    """What `jupyter-book build` printed, and whether it failed."""
    command = [JUPYTER_BOOK, "build", *options, str(folder)]
    environment = os.environ | {"NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return done.stdout + done.stderr, done.returncode != 0


def _rendered(book: Book) -> Path:
    """Names the pages of the last site that was rendered to its end; absent while one is made."""
    return book.output / "rendered.txt"


def _forget_unfinished(book: Book) -> None:
    """Begin anew after an interrupted rendering, or with other pages.

    Sphinx takes a page that it has read for one that it has written, and leaves pages behind that
    are no longer in the contents.
    """
    marker = _rendered(book)
    if not marker.is_file() or marker.read_text(encoding="utf-8").split("\n") != book.docnames:
        for folder in (".doctrees", "html"):
            shutil.rmtree(book.output / folder, ignore_errors=True)
    marker.unlink(missing_ok=True)


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
        path = book.output / "html" / "_sources" / f"{docname}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)


def render_run(book: Book, folder: Path) -> Path:
    """Make a page of a run's executed notebook, with the glossary and bibliography it refers to.

    folder : holds executed.ipynb; html/ is added
    Returns : the file to open
    Raises : BookError if Jupyter Book makes no page
    """
    page = folder / "html" / "executed.html"
    if page.is_file():
        return page
    with tempfile.TemporaryDirectory() as staged:
        stage = Path(staged)
        _stage(book, folder / "executed.ipynb", stage)
        log, _ = _jupyter_book(stage)  # links to other chapters lead nowhere, and may warn
        made = stage / "_build" / "html"
        if not (made / page.name).is_file():
            raise BookError(f"jupyter-book made no page:\n{log[-2000:]}")
        partial = folder / f".html.{os.getpid()}"
        shutil.copytree(made, partial)
        partial.rename(page.parent)
    return page


def _stage(book: Book, notebook: Path, stage: Path) -> None:
    """A book of one executed notebook, and of those pages of ours that compute nothing."""
    shutil.copy(notebook, stage)
    config = yaml.safe_load((book.root / "_config.yml").read_text(encoding="utf-8"))
    config |= {"execute": {"execute_notebooks": "off"}, "launch_buttons": {}, "repository": {}}
    config["html"] = config.get("html", {}) | dict.fromkeys(REPOSITORY_BUTTONS, False)
    (stage / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    computing = {chapter.docname for chapter in book.chapters}
    pages = [
        name
        for name in book.docnames[1:]
        if name not in computing
        # The ledger is that of the published runs.
        and "{claims-" not in (book.root / f"{name}.md").read_text(encoding="utf-8")
    ]
    contents: dict = {"format": "jb-book", "root": notebook.stem}
    if pages:
        contents["chapters"] = [{"file": page} for page in pages]
    (stage / "_toc.yml").write_text(yaml.safe_dump(contents), encoding="utf-8")
    kept = [*(f"{name}.md" for name in pages), *config.get("bibtex_bibfiles", [])]
    for name in kept:
        (stage / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(book.root / name, stage / name)
    if (book.root / "_static").is_dir():
        shutil.copytree(book.root / "_static", stage / "_static")

"""A book's folder and the chapters in it: found, read, and asked for their parameters."""

import re
from functools import cached_property
from pathlib import Path
from typing import Any

import jupytext
import yaml
from nbformat import NotebookNode

from lrnn.book.parameters import Parameter, ParameterError, check_values, parse_parameters


class BookError(Exception):
    """The book or the command line is at fault; the message is for the user."""


class Chapter:
    """One page of the book that computes: a MyST markdown notebook.

    path : its source
    docname : its place in the book, without the ending, such as "chapters/01_theory"
    """

    def __init__(self, path: Path, docname: str):
        self.path, self.docname = path, docname

    @property
    def stem(self) -> str:
        """The file's name without its ending, such as "01_theory"."""
        return self.path.stem

    @cached_property
    def notebook(self) -> NotebookNode:
        """The source as a notebook without outputs; do not change it."""
        notebook = jupytext.read(self.path)
        for cell in notebook.cells:
            cell.pop("id", None)  # random, and so no part of the source
        notebook.nbformat_minor = 4
        return notebook

    @property
    def code(self) -> list[str]:
        """The sources of the code cells."""
        return [cell.source for cell in self.notebook.cells if cell.cell_type == "code"]

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The declared parameters, by name.

        Raises : ParameterError if the chapter's parameters cell is not well formed
        """
        tagged = [c for c in self.notebook.cells if "parameters" in c.metadata.get("tags", [])]
        try:
            return parse_parameters(tagged[0].source) if tagged else {}
        except ParameterError as error:
            raise ParameterError(f"{self.stem}: {error}") from None

    @property
    def presets(self) -> dict[str, dict[str, Any]]:
        """Named sets of parameter values, from the chapter's front matter."""
        return self.notebook.metadata.get("lrnn", {}).get("presets", {})

    def values(self, given: dict[str, Any], preset: str | None = None) -> dict[str, Any]:
        """All parameter values of a run: defaults, then the preset's, then the given ones.

        Raises : ParameterError for a preset, name or value that does not fit
        """
        if preset is not None and preset not in self.presets:
            known = ", ".join(self.presets) or "none"
            raise ParameterError(f"unknown preset {preset}: {self.stem} has {known}")
        chosen = self.presets[preset] if preset else {}
        return check_values(self.parameters, {**chosen, **given})

    def changed(self, values: dict[str, Any]) -> dict[str, Any]:
        """Those of the values that are not the published ones."""
        return {k: v for k, v in values.items() if v != self.parameters[k].default}


class Book:
    """A folder with `_config.yml` and `_toc.yml`."""

    def __init__(self, root: Path):
        self.root = root.resolve()
        if not (self.root / "_toc.yml").is_file():
            raise BookError(f"{self.root} holds no book: _toc.yml is missing")

    @classmethod
    def around(cls, folder: Path) -> "Book":
        """The book that a folder lies in.

        Raises : BookError if there is none
        """
        folder = folder.resolve()
        for candidate in [folder, *folder.parents]:
            if (candidate / "_toc.yml").is_file():
                return cls(candidate)
        raise BookError(f"{folder} lies in no book: no _toc.yml here or above")

    @property
    def lock(self) -> Path:
        """The file of exact pins."""
        return self.root / "requirements.lock"

    @property
    def output(self) -> Path:
        """Where everything that a build makes is kept."""
        return self.root / "_build"

    @cached_property
    def chapters(self) -> list[Chapter]:
        """The pages of `_toc.yml` that compute, in its order.

        Raises : BookError if a page of the contents does not exist or lacks its front matter, or if
            two chapters have the same stem
        """
        chapters: list[Chapter] = []
        for docname in self.docnames:
            path = self.root / f"{docname}.md"
            if not path.is_file():
                raise BookError(f"_toc.yml names {docname}, but {path} does not exist")
            text = path.read_text(encoding="utf-8")
            if "```{code-cell}" not in text:
                continue
            front = text.split("\n---", 1)[0]
            if not re.search(r"^kernelspec:", front, re.MULTILINE):
                raise BookError(f"{path} has code cells, but its front matter has no kernelspec")
            if path.stem in (chapter.stem for chapter in chapters):
                raise BookError(f"_toc.yml has two chapters called {path.stem}")
            chapters.append(Chapter(path, docname))
        return chapters

    @cached_property
    def docnames(self) -> list[str]:
        """All pages of `_toc.yml`, without ending, in its order."""
        try:
            toc = yaml.safe_load((self.root / "_toc.yml").read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise BookError(f"_toc.yml is not YAML: {error}") from None
        found: list[str] = []

        def walk(node: Any) -> None:
            if isinstance(node, dict):
                found.extend(node[key] for key in ("root", "file") if key in node)
                for key in ("parts", "chapters", "sections"):
                    walk(node.get(key, []))
            for child in node if isinstance(node, list) else []:
                walk(child)

        walk(toc)
        return [name.removesuffix(".md") for name in found]

    def chapter(self, name: str) -> Chapter:
        """The chapter with this stem, number or path.

        Raises : BookError that lists the chapters there are
        """
        for chapter in self.chapters:
            number = chapter.stem.partition("_")[0]
            names = {chapter.stem, number, number.lstrip("0"), chapter.docname}
            if name in names or Path(name).resolve() == chapter.path:
                return chapter
        known = ", ".join(chapter.stem for chapter in self.chapters)
        raise BookError(f"unknown chapter {name}: expected a stem, number or path of {known}")

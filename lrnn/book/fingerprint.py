"""What the outcome of a run depends on, as one key.

The chapter's code (not its prose), its parameters, every file of `lrnn` that the code can reach by
import, the installed versions of the pinned packages, and the content of any file or folder that a
parameter names. Not in the key: what a chapter reads or imports by a path of its own.
"""

import ast
import hashlib
import json
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import lrnn

PACKAGE = Path(lrnn.__file__).parent


def run_key(code: list[str], values: dict[str, Any], *, folder: Path, lock: Path) -> str:
    """The key of one run, 16 hexadecimal digits.

    code : sources of the code cells
    values : all parameter values
    folder : where the run looks for relative data files
    lock : requirements file whose packages' installed versions count; it may be missing
    """
    [key] = run_keys(code, [values], folder=folder, lock=lock)
    return key


def run_keys(
    code: list[str], runs: Iterable[dict[str, Any]], *, folder: Path, lock: Path
) -> list[str]:
    """The keys of several runs of one chapter, which read the code and each data file once.

    runs : all parameter values of each; the rest as in `run_key`
    """
    shared = {
        "code": code,
        "lrnn": {str(p.relative_to(PACKAGE)): _digest(p) for p in reachable(code)},
        "pins": installed_versions(lock),
    }
    named = cache(lambda value: _identity(folder, value))

    def key(values: dict[str, Any]) -> str:
        known = {name: named(v) if isinstance(v, str) else v for name, v in values.items()}
        facts = json.dumps({**shared, "values": known}, sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()[:16]

    return [key(values) for values in runs]


def _identity(folder: Path, value: str) -> Any:
    """A text, or for one that names a file or folder, its name and content wherever it lies."""
    if not value or not (folder / value).exists():
        return value
    path = (folder / value).resolve()
    inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [path.name, *([str(p.relative_to(path)), _digest(p)] for p in inside)]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def installed_versions(lock: Path) -> dict[str, str]:
    """Installed versions of Python and of the packages that a lock file names."""
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    text = lock.read_text(encoding="utf-8") if lock.is_file() else ""
    for name in re.findall(r"([A-Za-z0-9][\w.-]*)==", text):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def reachable(code: list[str]) -> list[Path]:
    """Files of `lrnn` that code cells can reach by imports, directly or not, with their data."""
    files: set[Path] = set()
    waiting = set().union(*(_imports(cell) for cell in code))
    while waiting:
        name = waiting.pop()
        path = PACKAGE.joinpath(*name.split(".")[1:])
        package = path / "__init__.py"
        path = package if package.is_file() else path.with_suffix(".py")
        if path in files or not path.is_file():
            continue
        files.add(path)
        if path.name == "__init__.py":
            files.update(path.parent.glob("*.toml"))
        waiting |= _imports(path.read_text(encoding="utf-8"))
    return sorted(files)


def _imports(source: str) -> set[str]:
    """Names under `lrnn` that may be modules the source imports."""
    names: set[str] = set()
    for node in ast.walk(_parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:  # the house has no relative imports
            names.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
    within = {name for name in names if name == "lrnn" or name.startswith("lrnn.")}
    # Importing a.b.c also runs a and a.b.
    return {".".join(name.split(".")[:n]) for name in within for n in range(1, name.count(".") + 2)}


def _parse(source: str) -> ast.AST:
    """The source as Python; a cell that is none, even to IPython, reaches nothing: it will fail."""
    with suppress(SyntaxError):
        return ast.parse(source)
    from IPython.core.inputtransformer2 import TransformerManager  # slow, for magics only

    with suppress(SyntaxError):
        return ast.parse(TransformerManager().transform_cell(source))
    return ast.Module([], [])

"""The results of a sweep as a table: one row a run, kept as parquet and as CSV."""

import json
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_object_dtype
from rich.table import Table

from lrnn.book.chapter import BookError
from lrnn.book.store import Outcome, Task

NOT_FINITE = {"nan", "inf", "-inf"}  # JSON has no such numbers: results hold their names
FIRST, LAST = ["key", "status"], ["seconds", "error"]
MIDDLE = (0.05, 0.95)  # quantiles between which the middle 90 % of repetitions lie


def table(tasks: Iterable[Task], outcomes: dict[str, Outcome]) -> pd.DataFrame:
    """One row a run, in their order: key, status, parameters, glued values, claims, seconds, error.

    What is called like a column before it says what it is: "scale (glued)". Several rows of one
    claim are numbered: "P5", "P5 #2". `attrs["parameters"]` has the parameters' names.
    """
    tasks = list(tasks)
    frame = pd.DataFrame([_row(task, outcomes[task.key]) for task in tasks])
    for name in filter(lambda name: is_object_dtype(frame[name]), frame):
        frame[name] = frame[name].map(str, na_action="ignore")  # parquet: one type a column
    named = list(tasks[0].facts["parameters"])
    frame.attrs["parameters"] = list(frame.columns[len(FIRST) : len(FIRST) + len(named)])
    return frame[[name for name in frame if name not in LAST] + LAST]


def _row(task: Task, outcome: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = dict(zip(FIRST, (task.key, outcome.state), strict=True))

    def put(kind: str, name: str, value: Any) -> None:
        row[f"{name} ({kind})" if name in {*row, *LAST} else name] = _cell(value)

    for name, value in task.facts["parameters"].items():
        put("parameter", name, value)
    found: dict[str, Any] = {"values": {}, "claims": [], "seconds": math.nan}
    if outcome.state == "done":
        found = json.loads((task.folder / "results.json").read_text(encoding="utf-8"))
    for name, value in found["values"].items():
        put("glued", name, value)
    times: dict[str, int] = {}
    for claim in found["claims"]:
        times[claim["id"]] = count = times.get(claim["id"], 0) + 1
        name = claim["id"] if count == 1 else f"{claim['id']} #{count}"
        put("claim", name, math.nan if claim["value"] is None else claim["value"])
        put("claim", f"{name} verdict", claim["verdict"])
    return row | {"seconds": found["seconds"], "error": outcome.error}


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return json.dumps(value)
    return float(value) if isinstance(value, str) and value in NOT_FINITE else value


def write_tables(frame: pd.DataFrame, folder: Path) -> None:
    """Write `results.parquet` and `results.csv`, each the old one or the new one.

    Raises : BookError if they cannot be written
    """
    writers: dict[str, Callable[[Path], Any]] = {
        "results.parquet": lambda path: frame.to_parquet(path, index=False),
        "results.csv": lambda path: frame.to_csv(path, index=False),
    }
    for name, write in writers.items():
        beside = folder / f".{name}.{os.getpid()}"
        try:
            write(beside)
            beside.replace(folder / name)
        except OSError as error:
            raise BookError(f"{folder / name} cannot be written: {error.strerror}") from None
        finally:
            beside.unlink(missing_ok=True)


def read_table(folder: Path) -> pd.DataFrame:
    """The table of a sweep's folder.

    Raises : BookError if there is none
    """
    path = folder / "results.parquet"
    if not path.is_file():
        raise BookError(f"{folder} holds no sweep: results.parquet is missing")
    return pd.read_parquet(path)


def varied(frame: pd.DataFrame) -> list[str]:
    """The parameters, but for the seed, of which the runs have different values."""
    names = (name for name in frame.attrs["parameters"] if name != "seed")
    return [name for name in names if frame[name].nunique(dropna=False) > 1]


def numbers(frame: pd.DataFrame) -> list[str]:
    """The glued values and claims that are numbers."""
    others = {*frame.attrs["parameters"], *LAST}
    return [name for name in frame.select_dtypes("number") if name not in others]


def spreads(frame: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Median and the middle 90 % of a value over runs that are alike in some parameters.

    by : the parameters; one row for each of their combinations, in increasing order
    value : a column of numbers; runs without one do not count
    Returns : the parameters, low, median, high, runs
    """
    known = frame.dropna(subset=[value])
    groups = known.groupby(by, sort=True)[value]
    low, high = (groups.quantile(q) for q in MIDDLE)
    return pd.DataFrame(
        {"low": low, "median": groups.median(), "high": high, "runs": groups.size()}
    ).reset_index()


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each combination of the varied parameters, as text.

    Returns : the parameters, runs, failed, and each number as its median [5 %, 95 %]
    """
    by = varied(frame)
    rows = []
    for at, group in frame.groupby(by, sort=True) if by else [((), frame)]:
        row = dict(zip(by, at, strict=True))
        row |= {"runs": len(group), "failed": int((group["status"] == "failed").sum())}
        for name in numbers(frame):
            low, middle, high = group[name].quantile([MIDDLE[0], 0.5, MIDDLE[1]])
            row[name] = f"{middle:.4g} [{low:.4g}, {high:.4g}]" if math.isfinite(middle) else "–"
        rows.append(row)
    return pd.DataFrame(rows)


def show(frame: pd.DataFrame) -> Table:
    """A table for the terminal."""
    shown = Table(*map(str, frame.columns))
    for row in frame.itertuples(index=False):
        shown.add_row(*(f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in row))
    return shown

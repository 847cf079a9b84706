"""A sweep: one chapter, many runs, of which only the missing ones are made."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lrnn.book.chapter import Book, Chapter
from lrnn.book.cluster import Place, connect, dashboard, spread
from lrnn.book.execute import execute as execute_job
from lrnn.book.fingerprint import run_keys
from lrnn.book.grid import check_choice, combine
from lrnn.book.parameters import check_names
from lrnn.book.run import facts_of, job_of, provenance
from lrnn.book.store import (
    Execute,
    Outcome,
    Task,
    check_folder,
    forget,
    make,
    record_failure,
    recorded,
)
from lrnn.book.table import table, write_tables

if TYPE_CHECKING:
    from pandas import DataFrame


class Sweep(NamedTuple):
    """The runs that were asked for, in their order, and the folder that holds theirs."""

    folder: Path
    tasks: list[Task]


Endings = Iterable[tuple[Task, Outcome]]
# Shows how so many runs end on so many workers, with the address of a page that shows more, and
# passes the endings on.
Watch = Callable[[int, int, str, Endings], Endings]


def plan(
    book: Book,
    chapter: Chapter,
    rows: Iterable[dict[str, Any]],
    *,
    preset: str | None = None,
    folder: Path | None = None,
    limit: float | None = None,
) -> Sweep:
    """The sweep of a chapter over rows of given values.

    folder : where to leave the runs; `runs/CHAPTER` in the book, beside single runs, if None
    limit : seconds that the cells of a run may take in all
    Raises : ParameterError for a name or value that does not fit
    """
    folder = (folder or book.root / "runs" / chapter.stem).resolve()
    runs = [chapter.values(row, preset) for row in rows]
    keys = run_keys(chapter.code, runs, folder=chapter.path.parent, lock=book.lock)
    shared = provenance(book)
    tasks = {
        key: Task(
            job_of(chapter, values, key, folder / key, limit),
            facts_of(chapter, values, key) | shared,
        )
        for key, values in zip(keys, runs, strict=True)
    }
    return Sweep(folder, list(tasks.values()))


def make_all(
    swept: Sweep,
    place: Place,
    *,
    retry_failed: bool = False,
    execute: Execute = execute_job,
    watch: Watch = lambda runs, workers, link, endings: endings,
) -> dict[str, Outcome]:
    """Make the runs that are missing; how each of all has ended, by key.

    retry_failed : whether runs that have failed count as missing
    execute : makes a job, in a worker
    Raises : BookError if the folder cannot be written or there are no workers
    """
    check_folder(swept.folder)
    if retry_failed:
        for task in swept.tasks:
            forget(task)
    outcomes = {task.key: recorded(task) for task in swept.tasks}
    missing = [task for task in swept.tasks if outcomes[task.key] is None]
    if missing:
        with connect(place) as client:
            endings = _endings(spread(client, partial(make, execute=execute), missing, busy=_busy))
            workers = len(client.nthreads()) or place.workers or 1
            watched = watch(len(missing), workers, dashboard(client), endings)
            outcomes |= {task.key: outcome for task, outcome in watched}
    return {key: outcome for key, outcome in outcomes.items() if outcome}


def _busy(outcome: Outcome) -> bool:
    return outcome.state == "busy"


def _endings(pairs: Iterable[tuple[Task, Any]]) -> Iterator[tuple[Task, Outcome]]:
    for task, result in pairs:
        if isinstance(result, BaseException):  # dask gave up: workers died of this run
            result = record_failure(task, f"lost with its workers: {type(result).__name__}")
        yield task, result


def sweep(
    chapter: str,
    parameters: Mapping[str, Any],
    *,
    how: str = "grid",
    draws: int = 0,
    rng: np.random.Generator | None = None,
    preset: str | None = None,
    folder: Path | str | None = None,
    retry_failed: bool = False,
    timeout: float | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    book: Path | str = ".",
) -> "DataFrame":
    """Run a chapter many times, side by side; runs that are already there are not repeated.

    In a script, call it under `if __name__ == "__main__":`, as its workers read the script too.

    chapter : stem, number or path
    parameters : the values of each parameter, as an iterable, or a single one
    how : "grid" for every combination, "zip" for the first values together, then the second ones,
        and so on, "random" for combinations drawn at random
    draws, rng : how many are drawn, and with what; for "random" only
    preset : values of the parameters that are not given
    folder : where to leave runs and tables; `runs/CHAPTER` in the book if None
    retry_failed : whether to repeat runs that have failed before
    timeout : seconds that the cells of one run may take
    workers : processes on this machine; as many as there are cores if None
    scheduler : address of a dask cluster to use instead
    book : a folder in the book
    Returns : one row a run: key, status, parameters, glued values, claims, seconds, error
    Raises : ParameterError, before anything runs, if a parameter is unknown or a value does not
        fit; BookError if the folder cannot be written or there are no workers
    """
    found = Book.around(Path(book))
    chosen = found.chapter(chapter)
    check_names(chosen.parameters, parameters)
    choices = {name: check_choice(chosen.parameters[name], v) for name, v in parameters.items()}
    rows = combine(chosen.parameters, choices, how=how, draws=draws, rng=rng)
    given = None if folder is None else Path(folder)
    swept = plan(found, chosen, rows, preset=preset, folder=given, limit=timeout)
    outcomes = make_all(swept, Place(workers, scheduler), retry_failed=retry_failed)
    frame = table(swept.tasks, outcomes)
    write_tables(frame, swept.folder)
    return frame

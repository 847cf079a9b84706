"""Where the runs of a sweep lie: one folder each, named by its key, whole, failed or missing.

A run is whole once its `results.json` is there, and failed once `failed.json` is; both appear at
once or not at all. Whoever makes a run holds its lock, which the system releases if they die.
"""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from lrnn.book.chapter import BookError
from lrnn.book.execute import Finished, Job, write_json
from lrnn.book.run import FAILED, LOCK, write_results

Execute = Callable[[Job], Finished]  # `execute`, or what stands in its place


class Task(NamedTuple):
    """A run to be made: its job, and what its results say besides what comes out."""

    job: Job
    facts: dict[str, Any]

    @property
    def key(self) -> str:
        """The run's key."""
        return self.facts["key"]

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.job.output.parent


class Outcome(NamedTuple):
    """How an attempt at a run has ended: done, failed with an error, or busy in other hands."""

    state: str
    error: str = ""


def check_folder(folder: Path) -> None:
    """Make the folder of a sweep, and see that it can be written.

    Raises : BookError if it cannot
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(b"lrnn")
    except OSError as error:
        raise BookError(f"no sweep can be left in {folder}: {error.strerror}") from None


def recorded(task: Task) -> Outcome | None:
    """What a run's folder says of it; None for a run that is missing, or was interrupted."""
    if (task.folder / "results.json").is_file():
        return Outcome("done")
    try:
        told = json.loads((task.folder / FAILED).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Outcome("failed", told["error"])


def forget(task: Task) -> None:
    """Let a failed run count as missing."""
    (task.folder / FAILED).unlink(missing_ok=True)


def make(task: Task, execute: Execute, *, wait: bool) -> Outcome:
    """Make a run, unless it is there once nobody else is at it; never raises for its failure.

    wait : whether to wait for others that are making it, or to come back with "busy"
    """
    try:
        task.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(task.folder / LOCK, blocking=wait):
            if known := recorded(task):
                return known
            return _attempt(task, execute)
    except Timeout:
        return Outcome("busy")
    except OSError as error:  # a full disk: nothing is recorded, and the run counts as missing
        return Outcome("failed", f"{type(error).__name__}: {error}")


def _attempt(task: Task, execute: Execute) -> Outcome:
    try:
        ended = execute(task.job)
        if ended.error:
            return record_failure(task, ended.error, ended.seconds)
        write_results(task.job, task.facts, ended.seconds)
    except OSError:
        raise
    except Exception as error:
        return record_failure(task, f"{type(error).__name__}: {error}")
    return Outcome("done")


def record_failure(task: Task, error: str, seconds: float = 0.0) -> Outcome:
    """Record that a run has failed, and why."""
    write_json(task.folder / FAILED, task.facts | {"seconds": seconds, "error": error})
    return Outcome("failed", error)

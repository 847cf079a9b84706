"""Executors that stand in papermill's place: a sweep's accounts are tested without kernels."""

import os
import resource
import signal
import time
from pathlib import Path

import nbformat
from nbformat import v4

from lrnn.book.execute import Finished
from lrnn.book.records import VALUE_KEY


def folder_of(job) -> Path:
    """The sweep's folder."""
    return job.output.parent.parent


def begun(folder: Path) -> list[str]:
    """The keys of the jobs that were begun, one for each time."""
    path = folder / "begun.txt"
    return path.read_text().split() if path.exists() else []


def succeed(job):
    """Leave a notebook that glues ten times the seed."""
    with (folder_of(job) / "begun.txt").open("a") as file:
        file.write(f"{job.output.parent.name}\n")
    seed = job.changed.get("seed", 0)
    metadata = {VALUE_KEY: {"name": "answer", "value": 10 * seed}}
    output = v4.new_output("display_data", {"text/plain": ""}, metadata=metadata)
    cell = v4.new_code_cell("", outputs=[output])
    nbformat.write(v4.new_notebook(cells=[cell]), job.output)
    return Finished(job.name, 0.5)


def sometimes_fail(job):
    """Fail for three seeds in ten, each in its own way."""
    match job.changed.get("seed", 0) % 10:
        case 2:
            return Finished(job.name, 0.5, "told")
        case 5:
            raise ValueError("raised")
        case 7:
            return Finished(job.name, 0.5, "cell 3: glue()\nZeroDivisionError: no")
    return succeed(job)


def slow(job):
    """Take a while after having begun."""
    done = succeed(job)
    time.sleep(0.3)
    return done


def _kill_this_worker():
    os.kill(os.getpid(), signal.SIGKILL)


def killed_once(job):
    """The first two to come are killed, with their workers, in the middle of their work."""
    for token in folder_of(job).glob("token*"):
        try:
            token.unlink()
        except FileNotFoundError:
            continue
        succeed(job)
        _kill_this_worker()
    return succeed(job)


def always_killed(job):
    """Seed 1 is the end of every worker."""
    if job.changed.get("seed", 0) == 1:
        _kill_this_worker()
    return succeed(job)


def on_full_disk(job):
    """From here on this worker's files cannot grow beyond a few bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
    return succeed(job)


def busy_unless_waiting(task, wait):
    """What a task is told while others are at it."""
    return "done" if wait else "busy"

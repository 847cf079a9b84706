"""One run of a sweep in its folder: made once, recorded at once, by one hand at a time."""

import json

import pytest
import sweep_stubs
from filelock import FileLock
from test_sweep import seeds

from lrnn.book.run import FAILED, LOCK, write_results
from lrnn.book.store import Outcome, make, record_failure, recorded


@pytest.fixture
def task(tmp_path):
    """A run that was never made."""
    [task] = seeds(tmp_path, 1).tasks
    task.folder.mkdir()
    return task


def never(job):
    """Not to be called."""
    raise AssertionError


def test_a_run_in_other_hands_is_busy(task):
    with FileLock(task.folder / LOCK):
        assert make(task, never, wait=False) == Outcome("busy")
    assert make(task, sweep_stubs.succeed, wait=False) == Outcome("done")


def test_what_others_have_recorded_is_believed(task):
    record_failure(task, "why", 1.5)
    told = json.loads((task.folder / FAILED).read_text())
    assert (told["key"], told["seconds"], told["error"]) == (task.key, 1.5, "why")
    assert make(task, never, wait=True) == recorded(task) == Outcome("failed", "why")
    # A single run may still succeed, and then no failure is left.
    write_results(task.job, task.facts, sweep_stubs.succeed(task.job).seconds)
    assert make(task, never, wait=True) == recorded(task) == Outcome("done")
    assert not (task.folder / FAILED).exists()


@pytest.mark.parametrize(
    ("error", "is_recorded"), [(OSError(28, "No space left"), False), (ValueError("wrong"), True)]
)
def test_the_machines_failures_are_told_and_only_the_runs_own_are_kept(task, error, is_recorded):
    def fail(job):
        raise error

    outcome = make(task, fail, wait=True)
    assert outcome == Outcome("failed", f"{type(error).__name__}: {error}")
    assert recorded(task) == (outcome if is_recorded else None)


def test_a_run_without_its_last_file_is_missing(task):
    task.job.output.write_text("half")
    (task.folder / f".results.json.{1}").write_text("{")
    assert recorded(task) is None
    assert make(task, sweep_stubs.succeed, wait=True) == Outcome("done")

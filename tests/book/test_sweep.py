"""Sweeps in real processes, with stubs in papermill's place: nothing is lost, or done twice."""

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import nbformat
import pandas as pd
import psutil
import pytest
import sweep_stubs
from small_book import SMALL
from sweep_stubs import begun

from lrnn.book.chapter import Book, BookError
from lrnn.book.cluster import Place, connect, spread
from lrnn.book.store import recorded
from lrnn.book.sweeps import make_all, plan
from lrnn.book.table import table, write_tables

BOOK = Book(SMALL)
CHAPTER = BOOK.chapter("01")
TWO = Place(workers=2)


def seeds(folder, number):
    """A sweep over so many seeds."""
    return plan(BOOK, CHAPTER, [{"seed": seed} for seed in range(number)], folder=folder)


def by_seed(swept, outcomes):
    return {task.facts["seed"]: outcomes[task.key] for task in swept.tasks}


def whole(swept):
    """Whether each run is there, with the result that is its own."""
    frame = table(swept.tasks, {task.key: recorded(task) for task in swept.tasks})
    for task in swept.tasks:
        nbformat.read(task.job.output, 4)
    return list(frame["answer"]) == [10 * task.facts["seed"] for task in swept.tasks]


@pytest.fixture(scope="module")
def two():
    """Two workers for the tests that kill none."""
    with connect(TWO) as client:
        yield Place(scheduler=client.scheduler.address)


def driver(folder, number, stub):
    """A sweep in a process of its own."""
    code = (
        "from test_sweep import TWO, make_all, seeds, sweep_stubs\nfrom pathlib import Path\n"
        f"swept = seeds(Path({str(folder)!r}), {number})\n"
        f"made = make_all(swept, TWO, execute=sweep_stubs.{stub})\n"
        "assert {outcome.state for outcome in made.values()} == {'done'}"
    )
    # In a file, as workers read the script that starts them.
    script = folder.parent / f"driver{len(list(folder.parent.iterdir()))}.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        f"if __name__ == '__main__':\n    exec({code!r})\n"
    )
    return subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True)


def wait_for(condition, seconds=60):
    """Wait until it is so; the machine may be busy."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_200_runs_with_failures_are_accounted_for_exactly(tmp_path, two):
    swept = seeds(tmp_path, 200)
    outcomes = make_all(swept, two, execute=sweep_stubs.sometimes_fail)
    errors = {2: "told", 5: "ValueError: raised", 7: "cell 3: glue()\nZeroDivisionError: no"}
    told = {seed: outcome.error for seed, outcome in by_seed(swept, outcomes).items()}
    assert told == {seed: errors.get(seed % 10, "") for seed in range(200)}
    good = [key for key, outcome in outcomes.items() if outcome.state == "done"]
    assert sorted(begun(tmp_path)) == sorted(good)
    # Again, the failed are told and nothing is begun; once they may, they alone are repeated.
    assert make_all(swept, two, execute=sweep_stubs.succeed) == outcomes
    assert sorted(begun(tmp_path)) == sorted(good)
    outcomes = make_all(swept, two, execute=sweep_stubs.succeed, retry_failed=True)
    assert sorted(begun(tmp_path)) == sorted(outcomes)
    assert whole(swept)


def test_an_enlarged_sweep_makes_what_is_missing_and_the_table_is_the_same_twice(tmp_path, two):
    make_all(seeds(tmp_path, 3), two, execute=sweep_stubs.succeed)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/results.json")}
    swept = seeds(tmp_path, 5)
    written = []
    for _ in range(2):
        frame = table(swept.tasks, make_all(swept, two, execute=sweep_stubs.succeed))
        write_tables(frame, tmp_path)
        written.append([(tmp_path / f"results.{kind}").read_bytes() for kind in ("parquet", "csv")])
    assert written[0] == written[1]
    nobody = Place(scheduler="nowhere://")  # where nothing is missing, nobody is needed
    assert set(make_all(swept, nobody)) == set(frame["key"])
    assert set(Counter(begun(tmp_path)).values()) == {1}
    assert len(begun(tmp_path)) == 5
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "results.parquet"), frame)
    assert list(pd.read_csv(tmp_path / "results.csv")["answer"]) == [0, 10, 20, 30, 40]


def test_runs_of_killed_workers_are_made_by_others(tmp_path):
    for token in ("token1", "token2"):
        (tmp_path / token).touch()
    swept = seeds(tmp_path, 8)
    outcomes = make_all(swept, TWO, execute=sweep_stubs.killed_once)
    assert {outcome.state for outcome in outcomes.values()} == {"done"}
    assert sorted(Counter(begun(tmp_path)).values())[-3:] in ([1, 2, 2], [1, 1, 3])
    assert len(begun(tmp_path)) == 8 + 2
    assert whole(swept)


def test_a_run_that_kills_every_worker_fails_alone(tmp_path):
    swept = seeds(tmp_path, 6)
    outcomes = by_seed(swept, make_all(swept, TWO, execute=sweep_stubs.always_killed))
    assert outcomes.pop(1).error == "lost with its workers: KilledWorker"
    assert {outcome.state for outcome in outcomes.values()} == {"done"}
    assert sorted(Counter(begun(tmp_path)).values()) == [1] * 5


def test_a_killed_sweep_is_taken_up_where_it_was(tmp_path, two):
    folder = tmp_path / "sweep"
    process = driver(folder, 40, "slow")
    wait_for(lambda: len(list(folder.glob("*/results.json"))) >= 3)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    # Nobody is left behind to work on, or to hold a lock.
    assert psutil.wait_procs(workers, timeout=30)[1] == []
    process.communicate()
    done = {path.parent.name for path in folder.glob("*/results.json")}
    assert 3 <= len(done) < 40
    swept = seeds(folder, 40)
    make_all(swept, two, execute=sweep_stubs.succeed)
    counts = Counter(begun(folder))
    interrupted = [key for key, count in counts.items() if count > 1]
    assert len(counts) == 40
    assert len(interrupted) <= 2
    assert not done & set(interrupted)
    assert whole(swept)


def test_two_sweeps_at_once_share_the_work(tmp_path):
    folder = tmp_path / "sweep"
    processes = [driver(folder, number, "slow") for number in (12, 8)]
    for process in processes:
        _, error = process.communicate(timeout=120)
        assert (process.returncode, error) == (0, "")
    assert sorted(begun(folder)) == sorted(task.key for task in seeds(folder, 12).tasks)
    assert whole(seeds(folder, 12))


def test_a_full_disk_fails_the_runs_and_spoils_nothing(tmp_path, two):
    before = seeds(tmp_path, 2)
    make_all(before, two, execute=sweep_stubs.succeed)
    swept = seeds(tmp_path, 6)
    outcomes = by_seed(swept, make_all(swept, TWO, execute=sweep_stubs.on_full_disk))
    assert [outcomes[seed].state for seed in range(6)] == ["done"] * 2 + ["failed"] * 4
    assert {outcomes[seed].error for seed in range(2, 6)} == {"OSError: [Errno 27] File too large"}
    assert whole(before)
    # There is room again: these failures are nobody's, so they need not be forgiven.
    outcomes = make_all(swept, two, execute=sweep_stubs.succeed)
    assert {outcome.state for outcome in outcomes.values()} == {"done"}
    assert whole(swept)


def test_a_folder_that_cannot_be_written_is_refused_before_anything_starts(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BookError, match=r"no sweep can be left in .*file/inside: Not a directory"):
        make_all(seeds(tmp_path / "file/inside", 2), TWO)
    assert (tmp_path / "file").read_text() == "mine"


def test_no_workers_is_an_error_that_says_so(tmp_path, monkeypatch):
    with pytest.raises(BookError, match="no workers at nowhere"):
        make_all(seeds(tmp_path, 1), Place(scheduler="nowhere://"), execute=sweep_stubs.succeed)
    assert begun(tmp_path) == []
    with pytest.raises(BookError, match=r"--kubernetes needs one more package: pip install"):
        make_all(seeds(tmp_path, 1), Place(system="kubernetes"), execute=sweep_stubs.succeed)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BookError, match="--slurm needs sbatch"):
        make_all(seeds(tmp_path, 1), Place(system="slurm"), execute=sweep_stubs.succeed)


def test_a_busy_task_is_called_again_to_wait_for_its_turn(two):
    asked = []

    def busy(result):
        asked.append(result)
        assert len(asked) < 20
        return result == "busy"

    with connect(two) as client:
        pairs = list(spread(client, sweep_stubs.busy_unless_waiting, range(5), busy=busy))
    assert sorted(pairs) == [(task, "done") for task in range(5)]
    assert sorted(asked) == ["busy"] * 5 + ["done"] * 5

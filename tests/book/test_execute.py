"""Jobs in processes of their own: more jobs than workers, and a worker that is lost."""

import json
import os
import signal
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat import v4

from lrnn.book.execute import Finished, Job, Started, execute, execute_all, write_json
from lrnn.book.progress import Progress


def job(folder, name, *codes):
    cells = [v4.new_code_cell(code) for code in codes]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    return Job(name, notebook, {}, folder, folder / f"{name}.ipynb", {})


def test_more_jobs_than_workers_all_end_and_a_lost_worker_is_named(tmp_path):
    jobs = [job(tmp_path, f"job{k}", "1 + 1") for k in range(3)]
    jobs.insert(1, job(tmp_path, "lost", "import time; time.sleep(600)"))
    ended = {}
    for event in execute_all(jobs, workers=2):
        if isinstance(event, Finished) and event.name == "job2":  # one worker is left
            [worker] = [c for c in psutil.Process().children() if "spawn_main" in str(c.cmdline())]
            os.kill(worker.pid, signal.SIGKILL)
        if isinstance(event, Finished):
            ended[event.name] = event.error
    assert ended == {
        "job0": "",
        "job1": "",
        "job2": "",
        "lost": "its process ended with exit code -9",
    }


@pytest.mark.parametrize("last", ["1 / 0", "import os; os._exit(1)"], ids=["error", "dead kernel"])
def test_what_was_computed_just_before_an_end_is_kept(tmp_path, last):
    made = job(tmp_path, "short", "40 + 2", last)  # much shorter than the interval between saves
    ended = execute(made)
    assert ended.error
    kept = nbformat.read(made.partial, as_version=4)
    [first] = [cell for cell in kept.cells if cell.source == "40 + 2"]
    assert [output.data["text/plain"] for output in first.outputs] == ["42"]


def test_json_is_the_old_or_the_new_file(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "results.json"
    write_json(path, {"value": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"value": float("nan")})
    monkeypatch.setattr(Path, "replace", lambda self, target: None)  # killed before the last step
    write_json(path, {"value": 2})
    assert json.loads(path.read_text()) == {"value": 1}


def test_progress_shows_cell_and_age(tmp_path):
    progress = Progress(["a", "b"])
    progress.note(Started("a", 3, 9))
    progress.start["a"] = time.perf_counter() - 65
    assert progress._state("a", progress.last["a"]) == ("cell 3 of 9", "65 s")
    assert progress._state("b", progress.last["b"])[0] == "waiting"
    progress.note(Finished("a", 66.6))
    assert progress._state("a", progress.last["a"]) == ("done", "66.6 s")

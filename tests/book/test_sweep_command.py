"""Sweeps by the real command, and from Python, through papermill."""

import json
import os
import signal
import subprocess
import time

import nbformat
import pandas as pd
import psutil
import pytest
from small_book import BIN, command

import lrnn.book
from lrnn.book.chapter import BookError
from lrnn.book.parameters import ParameterError

CHAPTER = """---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {display_name: Python 3, language: python, name: python3}
lrnn:
  presets:
    quick: {scale: 2.0}
---

# First

```{code-cell} ipython3
:tags: [parameters]
seed: int = 0  # seed [0, inf)
scale: float = 1.0  # what the answer is multiplied with (0, 10]
data: str = ""  # a file
```

```{code-cell} ipython3
import time
from lrnn.book import glue

glue(answer=42 * scale + seed)
```

```{code-cell} ipython3
if scale == 9:
    time.sleep(600)
1 / (seed - 3)
```
"""


@pytest.fixture
def book(fresh):
    """The small book, its first chapter without figures; seed 3 fails, scale 9 hangs."""
    (fresh / "chapters/01_first.md").write_text(CHAPTER)
    return fresh


def sweep(root, *words):
    return command(root, "lrnn", "sweep", *words)


def test_the_command_sweeps_tells_failures_and_makes_only_what_is_missing(book):
    words = [
        "01",
        "-p",
        "scale",
        "1,9",
        "-p",
        "seed",
        "2,3",
        "--zip",
        "--timeout",
        "5",
    ]  # a busy machine, too, is through with the rest in 5 s
    done = sweep(book, *words, "-o", "out")
    assert done.returncode == 1
    told = done.stderr.splitlines()
    assert "seed = 3, scale = 9.0" in told[0]
    assert done.stderr.count("failed (") == 1
    assert "cell 5: stopped at the time limit of 5 s" in done.stderr
    assert done.stdout.splitlines()[-1] == f"1 of 2 runs: {book / 'out'}"
    [failed] = (book / "out").glob("*/failed.json")
    kept = nbformat.read(failed.parent / "executed.partial.ipynb", 4)
    assert "42 * scale" in str(kept)
    assert "answer = 381" in str(kept)  # what came before the hanging cell
    # Enlarged: one run succeeds, one fails, and the two that are known are not repeated.
    stamps = {p: p.stat().st_mtime_ns for p in (book / "out").glob("*/*.json")}
    done = sweep(book, "01", "-p", "scale", "1", "-p", "seed", "2:5", "-o", "out")
    assert done.returncode == 1
    assert "ZeroDivisionError: division by zero" in done.stderr
    assert "2 of 3 runs" in done.stdout
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    frame = pd.read_parquet(book / "out/results.parquet")
    assert list(frame["status"]) == ["done", "failed", "done"]
    assert list(frame["answer"].dropna()) == [44, 46]
    assert list(frame["seed"]) == [2, 3, 4]
    assert frame["seconds"].notna().tolist() == [True, False, True]
    assert len(pd.read_csv(book / "out/results.csv")) == 3
    # A single run of the same chapter and a sweep know each other's runs.
    single = command(book, "lrnn", "run", "01", "-p", "seed", "4", "-o", f"out/{frame['key'][2]}")
    assert (single.returncode, "already there" in single.stdout) == (0, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-p", "scal", "2"], "unknown parameter scal: did you mean scale?"),
        (["-p", "scale", "1,big"], "scale = 'big': expected float"),
        (["-p", "seed", "0:2", "-p", "scale", "1,11"], "scale = 11: expected in (0, 10]"),
        (["-p", "seed", "1", "-p", "seed", "2"], "seed is given twice"),
        (["-p", "seed", "0:2", "-p", "scale", "1,2,3", "--zip"], "seed: 2 values beside 3"),
        (["-p", "scale", "1:2"], "scale = 1:2: expected low:high:count"),
        (["--preset", "slow"], "unknown preset slow: 01_first has quick"),
        (["-f", "list.yaml"], "list.yaml: expected lines of `name: value`"),
        (["-o", "_toc.yml"], "no sweep can be left in"),
    ],
)
def test_mistakes_are_refused_in_one_line_before_anything_starts(book, words, message):
    (book / "list.yaml").write_text("- scale\n")
    done = sweep(book, "01", *words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"lrnn: {message}")
    assert len(done.stderr.splitlines()) == 1
    assert not (book / "runs").exists()


def test_a_sweep_from_python_is_the_commands_and_stays_beside_single_runs(book):
    (book / "sweep.yaml").write_text("seed: 0:2\nscale: [1]\n")
    done = sweep(book, "1", "-f", "sweep.yaml", "--workers", "1")
    assert done.returncode == 0, done.stderr
    frame = lrnn.book.sweep("1", {"seed": range(2), "scale": 1}, book=book)  # starts no worker
    pd.testing.assert_frame_equal(frame, pd.read_parquet(book / "runs/01_first/results.parquet"))
    assert list(frame["answer"]) == [42, 43]
    [first, _] = frame["key"]
    results = json.loads((book / "runs/01_first" / first / "results.json").read_text())
    assert results["key"] == first
    assert results["parameters"] == {"seed": 0, "scale": 1.0, "data": ""}
    with pytest.raises(ParameterError, match="seed = -1: expected in"):
        lrnn.book.sweep("1", {"seed": [-1]}, book=book)
    with pytest.raises(BookError, match="unknown chapter 9"):
        lrnn.book.sweep("9", {}, book=book)


def test_an_edited_chapter_and_changed_data_are_new_runs(book):
    from lrnn.book.chapter import Book
    from lrnn.book.sweeps import plan

    def keys():
        found = Book(book)
        rows = [{"data": str(book / "data.txt"), "seed": seed} for seed in range(2)]
        return {task.key for task in plan(found, found.chapter("1"), rows).tasks}

    seen = set()
    for change in (
        lambda: (book / "data.txt").write_text("a"),
        lambda: (book / "data.txt").write_text("b"),
        lambda: (book / "chapters/01_first.md").write_text(CHAPTER.replace("42", "43")),
    ):
        change()
        assert len(keys()) == 2
        assert not seen & keys()
        seen |= keys()
    (book / "chapters/01_first.md").write_text(CHAPTER.replace("42", "43") + "\nMore words.\n")
    assert keys() <= seen  # prose is not code


def test_ctrl_c_ends_everything_quietly_and_marks_no_run_as_failed(book):
    words = [BIN / "lrnn", "sweep", "1", "-p", "seed", "10:90"]
    process = subprocess.Popen(
        list(map(str, words)),
        cwd=book,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    runs = book / "runs/01_first"
    end = time.monotonic() + 60
    while not list(runs.glob("*/results.json")) and time.monotonic() < end:
        time.sleep(0.05)
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error.strip()) == (1, "Aborted!")
    assert psutil.wait_procs(family, timeout=30)[1] == []
    assert 1 <= len(list(runs.glob("*/results.json"))) < 80
    assert not list(runs.glob("*/failed.json"))


def test_plot_draws_the_table_of_a_folder(book):
    done = sweep(book, "plot", ".")
    assert (done.returncode, done.stderr) == (
        2,
        "lrnn: . holds no sweep: results.parquet is missing\n",
    )
    frame = pd.DataFrame({"g": [1.0, 2.0], "v": [0.5, 0.7], "error": ["", ""]})
    frame.attrs["parameters"] = ["g"]
    frame.to_parquet(book / "results.parquet")
    done = sweep(book, "plot", ".", "-x", "g", "-y", "v")
    assert (done.returncode, done.stdout) == (0, "results.svg\n")
    assert "<svg" in (book / "results.svg").read_text()
    done = sweep(book, "plot", ".", "-y", "w")
    assert done.stderr.startswith("lrnn: y = w: expected a glued value")
    assert "-p NAME VALUES" in sweep(book, "--help").stdout

"""Builds of a small book by the real command: what is executed, what is kept, what is told."""

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager

import nbformat
import psutil
import pytest
from small_book import BIN, command, edit, without_tags

from lrnn.book.chapter import Book
from lrnn.book.render import render_book


def build(root):
    return command(root, "lrnn", "build")


def executed(done):
    """Stems that a build says it executed."""
    return {line.split()[0] for line in done.stdout.splitlines() if " executed in " in line}


def page(root, name):
    return (root / "_build/html" / f"{name}.html").read_text(encoding="utf-8")


def words(root, name):
    return without_tags(page(root, name))


def test_a_build_leaves_site_notebooks_and_ledger(built_once):
    assert "The answer is 42.0" in words(built_once, "chapters/01_first")
    assert 'id="fig-line"' in page(built_once, "chapters/01_first")
    assert 'data-verdict="holds"' in page(built_once, "index")
    assert "02_second in " in words(built_once, "index")
    ledger = json.loads((built_once / "_build/claims.json").read_text())
    assert [row["id"] for row in ledger["rows"]] == ["P5", "F1"]
    assert ledger["score"]["holds"] == 1
    assert ledger["seconds"].keys() == {"chapters/01_first", "chapters/02_second"}
    assert 'href="chapters/01_first.html#fig-line"' in page(built_once, "index")
    assert "P6" in ledger["open"]
    notebook = nbformat.read(built_once / "_build/executed/01_first.ipynb", 4)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert "papermill" not in str([notebook.metadata, *(cell.metadata for cell in notebook.cells)])
    assert "one thread" in words(built_once, "chapters/02_second")
    download = nbformat.read(built_once / "_build/html/_sources/chapters/01_first.ipynb", 4)
    assert "42.0" in str(download.cells)  # with outputs
    assert (built_once / "_build/html/_static/mathjax/tex-mml-chtml.js").is_file()
    assert (built_once / "_build/html/_static/mathjax/LICENSE").is_file()


def test_nothing_changed_executes_nothing(built):
    start = time.perf_counter()
    done = build(built)
    assert (done.returncode, executed(done)) == (0, set())
    assert time.perf_counter() - start < 20  # the promise of the project


def test_prose_does_not_execute_but_is_rendered(built):
    edit(built / "chapters/01_first.md", "The answer is", "We find")
    edit(built / "chapters/01_first.md", "caption: A line.", "caption: A rising line.")
    done = build(built)
    assert (done.returncode, executed(done)) == (0, set())
    assert "We find 42.0" in words(built, "chapters/01_first")
    assert "A rising line" in page(built, "chapters/01_first")


def test_code_executes_its_own_chapter_and_renews_page_and_ledger(built):
    edit(built / "chapters/01_first.md", "answer=42 * scale", "answer=41.5 * scale")
    edit(built / "chapters/01_first.md", "    42 * scale,", "    41.5 * scale,")
    done = build(built)
    assert (done.returncode, executed(done)) == (0, {"01_first"})
    assert "The answer is 41.5" in words(built, "chapters/01_first")
    assert "41.5" in page(built, "index")


def test_a_new_outcome_of_the_same_code_reaches_the_page(built):
    """The page is rendered again although its source, and so its cache key, is the same."""
    path = built / "_build/executed/01_first.ipynb"
    path.write_text(path.read_text().replace("42.0", "43.0"))
    assert build(built).returncode == 0
    assert "The answer is 43.0" in words(built, "chapters/01_first")


def test_failing_cell_is_named_and_the_rest_goes_on(fresh):
    edit(fresh / "chapters/01_first.md", "glue(answer=42 * scale", "glue(answer=42 / 0")
    done = build(fresh)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0].startswith("01_first: cell 4: glue(answer=42 / 0")
    assert lines[1] == "ZeroDivisionError: division by zero"
    partial = nbformat.read(fresh / "_build/executed/01_first.partial.ipynb", 4)
    assert any(cell.get("execution_count") for cell in partial.cells)
    assert executed(done) == {"02_second"}
    assert not (fresh / "_build/executed/01_first.ipynb").exists()


def test_dying_kernel_is_named_and_the_rest_goes_on(fresh):
    edit(fresh / "chapters/01_first.md", "plt.plot([0, 1])", "import os; os._exit(1)")
    done = build(fresh)
    assert done.returncode == 1
    assert "01_first: cell 6: DeadKernelError" in done.stderr
    assert executed(done) == {"02_second"}


def test_a_typo_is_its_own_cells_error(fresh):
    edit(fresh / "chapters/01_first.md", "glue(answer=42 * scale", "x = (1\nglue(answer=42 * scale")
    done = build(fresh)
    assert done.returncode == 1
    assert "01_first: cell 4: x = (1" in done.stderr
    assert executed(done) == {"02_second"}


def test_what_a_cell_writes_to_stderr_does_not_reach_the_reader(built):
    edit(
        built / "chapters/02_second.md",
        "time.sleep(0)",
        "print('careful', file=__import__('sys').stderr)",
    )
    done = build(built)
    assert done.returncode == 1
    assert "chapters/02_second: cell 4 writes to stderr: careful" in done.stderr


def test_pages_out_of_the_contents_leave_the_site(built):
    edit(built / "_toc.yml", "  - file: chapters/02_second\n", "")
    assert build(built).returncode == 0
    assert not (built / "_build/html/chapters/02_second.html").exists()
    assert "F1" in json.loads((built / "_build/claims.json").read_text())["open"]


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("_toc.yml", "01_first", "03_third", "03_third.md does not exist"),
        ("chapters/02_second.md", "kernelspec:", "kernel:", "no kernelspec"),
        ("chapters/01_first.md", "scale: 2.0", "scales: 2.0", "unknown parameter scales"),
        ("chapters/01_first.md", "float = 1.0", "float = 1/3", "01_first: parameters cell"),
    ],
)
def test_a_malformed_book_is_refused_before_anything_runs(fresh, file, old, new, message):
    edit(fresh / file, old, new)
    done = build(fresh)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (fresh / "_build").exists()


def test_rendering_killed_midway_is_begun_anew(built):
    """Sphinx would take a page that it has read for one that it has written."""
    path = built / "_build/executed/01_first.ipynb"
    path.write_text(path.read_text().replace("42.0", "43.0"))
    pickle = built / "_build/.doctrees/environment.pickle"
    before = pickle.stat().st_mtime_ns
    with driven(built, "build") as driver:
        wait_for(lambda: pickle.exists() and pickle.stat().st_mtime_ns != before)
        os.killpg(driver.pid, signal.SIGKILL)
    assert build(built).returncode == 0
    assert "The answer is 43.0" in words(built, "chapters/01_first")


def test_interrupt_ends_at_once_and_leaves_no_process(fresh):
    edit(fresh / "chapters/02_second.md", "time.sleep(0)", "time.sleep(600)")
    edit(fresh / "chapters/01_first.md", "plt.plot([0, 1])", "import time; time.sleep(600)")
    partials = [fresh / f"_build/executed/{n}.partial.ipynb" for n in ("01_first", "02_second")]
    with driven(fresh, "build", "-j", "2") as driver:
        # Side by side: neither waits for the other.
        wait_for(lambda: all(p.exists() and '"running"' in p.read_text() for p in partials))
        children = psutil.Process(driver.pid).children(recursive=True)
        driver.send_signal(signal.SIGINT)
        driver.wait(timeout=20)
    wait_for(lambda: not any(child.is_running() for child in children))


def test_killed_build_leaves_no_process_and_resumes(fresh):
    second = fresh / "chapters/02_second.md"
    edit(second, "time.sleep(0)", "time.sleep(600)")
    partial = fresh / "_build/executed/02_second.partial.ipynb"
    with driven(fresh, "build", "-j", "2") as driver:
        wait_for(lambda: (fresh / "_build/executed/01_first.ipynb").exists() and partial.exists())
        children = psutil.Process(driver.pid).children(recursive=True)
        assert children
        os.kill(driver.pid, signal.SIGKILL)
    wait_for(lambda: not any(child.is_running() for child in children))
    edit(second, "time.sleep(600)", "time.sleep(0)")
    done = build(fresh)
    assert (done.returncode, executed(done)) == (0, {"02_second"})


@contextmanager
def driven(folder, *words):
    """A running `lrnn`, in a process group of its own; killed at the latest when the block ends."""
    driver = subprocess.Popen(
        [BIN / "lrnn", *words],
        cwd=folder,
        start_new_session=True,
        # A shell that runs the tests in the background hands down that SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield driver
    finally:
        driver.kill()
        driver.wait()


def wait_for(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


def test_value_outside_its_expectation_fails_by_id_with_the_site_built(fresh):
    edit(fresh / "chapters/01_first.md", "expect=(41, 43)", "expect=(0, 1)")
    done = build(fresh)
    assert done.returncode == 1
    assert "P5 (chapters/01_first): the answer is 42.0, expected (0.0, 1.0)" in done.stderr
    assert "outside" in page(fresh, "index")


def test_a_page_that_misses_the_cache_is_an_error(fresh):
    assert "missed the cache" in render_book(Book(fresh), {})


def test_warnings_are_errors(built):
    edit(built / "index.md", "# A small book", "# A small book\n\n[nowhere](#no-such-label)")
    done = build(built)
    assert done.returncode == 1
    assert "no-such-label" in done.stderr


@pytest.mark.parametrize("words", [["build"], ["run", "01"], ["claims"]])
def test_outside_a_book_the_commands_say_so(tmp_path, words):
    done = command(tmp_path, "lrnn", *words)
    assert done.returncode == 2
    assert "lies in no book" in done.stderr


def test_claims_prints_rows_and_open_claims(built_once):
    done = command(built_once, "lrnn", "claims")
    assert done.returncode == 0
    assert "2 rows: holds 1" in done.stdout
    assert "P6" in done.stdout

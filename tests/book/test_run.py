"""Parameterised runs of a small book's chapter, by the real commands."""

import base64
import json
import re
import subprocess
import time

import nbformat
import pytest
from small_book import command, edit, without_tags


def run(root, *words):
    return command(root, "lrnn", "run", *words)


def results(folder):
    return json.loads((folder / "results.json").read_text())


GIT = ["git", "-c", "user.name=me", "-c", "user.email=me@example.org"]


@pytest.fixture
def one_run(fresh):
    """The small book, under version control, and the folder of a run with scale 2."""
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "book"]):
        subprocess.run([*GIT, *words], cwd=fresh, check=True)
    done = run(fresh, "01", "-p", "scale", "2", "-p", "seed", "7")
    assert done.returncode == 0, done.stderr
    [folder] = (fresh / "runs/01_first").iterdir()
    return fresh, folder, done


def test_a_run_leaves_notebook_figures_and_results(one_run):
    root, folder, done = one_run
    found = results(folder)
    assert found["parameters"] == {"seed": 7, "scale": 2.0, "phi": "tanh", "data": ""}
    assert found["values"] == {"answer": 84.0, "length": 0}
    assert found["seed"] == 7
    assert not found["published"]
    assert found["versions"]["python"].startswith("3.")
    head = subprocess.run([*GIT, "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True)
    assert found["commit"].removesuffix("-dirty") == head.stdout.strip()
    assert found["claims"][0]["verdict"] == "does not hold"
    assert (folder / "figures/fig-line.svg").exists() or (folder / "figures/fig-line.png").exists()
    frames = sorted(folder.glob("figures/fig-Grown_up-*"))
    assert [path.name for path in frames] == [f"fig-Grown_up-00{i}.svg" for i in (1, 2, 3)]
    text = json.dumps(nbformat.read(folder / "executed.ipynb", 4))
    shown = re.findall("data:image/svg[+]xml;base64,([^\\\\]+)", text)
    assert [path.read_bytes() for path in frames] == [base64.b64decode(data) for data in shown]
    assert "not the published parameters" in text
    # Outside its expectation, but not published: told, not failed.
    assert "P5: 84.0 lies outside" in done.stdout


def test_the_same_run_is_recognised_and_another_never_overwrites(one_run):
    root, folder, _ = one_run
    before = (folder / "executed.ipynb").read_bytes()
    again = run(root, "01_first", "-p", "seed", "7", "-p", "scale", "2.0")
    assert again.returncode == 0
    assert "already there" in again.stdout
    other = run(root, "1", "-p", "scale", "3", "-o", folder)
    assert other.returncode == 2
    assert "not overwritten" in other.stderr
    (root / "mine").mkdir()
    (root / "mine/thesis.tex").write_text("")
    other = run(root, "1", "-o", "mine")
    assert (other.returncode, "thesis.tex" in other.stderr) == (2, True)
    other = run(root, "1", "-o", "_toc.yml")
    assert (other.returncode, "no run can be left" in other.stderr) == (2, True)
    assert (folder / "executed.ipynb").read_bytes() == before


def test_the_content_of_a_data_file_is_part_of_the_run(fresh):
    data = fresh / "data.txt"
    data.write_text("abc")
    assert run(fresh, "01", "-p", "data", "data.txt").returncode == 0
    data.write_text("abcd")
    assert run(fresh, "01", "-p", "data", "data.txt").returncode == 0
    lengths = {results(f)["values"]["length"] for f in (fresh / "runs/01_first").iterdir()}
    assert lengths == {3, 4}


def test_preset_file_and_typed_values_override_in_this_order(fresh):
    (fresh / "data.txt").write_text("abc")
    (fresh / "p.yaml").write_text("scale: 3e0\nphi: relu\ndata: data.txt\n")
    words = ["--preset", "quick", "-f", "p.yaml", "-p", "phi", "tanh", "-o", "mine"]
    done = run(fresh, "chapters/01_first.md", *words)
    assert done.returncode == 0, done.stderr
    found = results(fresh / "mine")
    assert (found["parameters"]["scale"], found["parameters"]["phi"]) == (3.0, "tanh")
    assert found["values"]["length"] == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-p", "scal", "2"], "unknown parameter scal: did you mean scale?"),
        (["-p", "scale", "big"], "scale = 'big': expected float"),
        (["-p", "seed", "1.5"], "seed = 1.5: expected int"),
        (["-p", "scale", "0"], "scale = 0: expected in (0, 10]"),
        (["-p", "phi", "erf"], "phi = 'erf': expected in {tanh, relu}"),
        (["--preset", "slow"], "unknown preset slow: 01_first has quick"),
        (["-f", "list.yaml"], "list.yaml: expected lines of `name: value`"),
        (["-f", "number.yaml"], "number.yaml: expected lines of `name: value`"),
    ],
)
def test_bad_parameters_are_refused_in_one_line_before_anything_runs(fresh, words, message):
    (fresh / "list.yaml").write_text("- scale\n")
    (fresh / "number.yaml").write_text("1: 2\n")
    start = time.perf_counter()
    done = run(fresh, "01", *words)
    assert done.returncode == 2
    assert done.stderr.strip() == f"lrnn: {message}"
    assert not (fresh / "runs").exists()
    assert time.perf_counter() - start < 6  # 2 s on an idle machine


def test_unknown_chapter_lists_the_known_ones(fresh):
    done = run(fresh, "3")
    assert done.returncode == 2
    assert "01_first, 02_second" in done.stderr


def test_help_lists_the_chapters_parameters(fresh):
    done = run(fresh, "01", "--help")
    assert done.returncode == 0
    assert "scale: float = 1.0\n      what the answer is multiplied with (0, 10]" in done.stdout
    assert "--preset quick: scale = 2.0" in done.stdout


def test_failed_run_keeps_its_partial_notebook_and_can_be_repeated(fresh):
    for _ in range(2):
        done = run(fresh, "01", "-p", "data", "missing.txt", "-o", "mine")
        assert done.returncode == 1
        assert "FileNotFoundError" in done.stderr
        assert (fresh / "mine/executed.partial.ipynb").is_file()
        assert not (fresh / "mine/results.json").exists()


def test_html_shows_the_glued_values_of_the_run(fresh):
    done = run(fresh, "01", "-p", "scale", "2", "-o", "mine", "--html")
    assert done.returncode == 0, done.stderr
    again = run(fresh, "01", "-p", "scale", "2", "-o", "mine", "--html")
    assert (again.returncode, "already there" in again.stdout) == (0, True)
    text = without_tags((fresh / "mine/html/executed.html").read_text())
    assert "The answer is 84.0" in text
    assert "not the published parameters" in text


def test_plain_papermill_runs_the_source_and_the_chapter_refuses_bad_parameters(fresh):
    source = "myst://chapters/01_first.md"
    done = command(fresh, "papermill", source, "out.ipynb", "-p", "scale", "2")
    assert done.returncode == 0, done.stderr
    assert "84.0" in (fresh / "out.ipynb").read_text()  # typed 2, and a float all the same
    listed = command(fresh, "papermill", "--help-notebook", source)
    assert "what the answer is multiplied with" in listed.stdout
    for name, value, message in [
        ("scal", "2", "unknown parameter scal: did you mean scale?"),
        ("scale", "99", "scale = 99: expected in (0, 10]"),
    ]:
        done = command(fresh, "papermill", source, "out.ipynb", "-p", name, value)
        assert done.returncode == 1
        assert message in done.stderr


def test_notebooks_are_plain_and_never_overwrite_an_edited_one(fresh):
    assert command(fresh, "lrnn", "notebook", "--all").returncode == 0
    path = fresh / "notebooks/01_first.ipynb"
    notebook = nbformat.read(path, 4)
    assert notebook.metadata.kernelspec.name == "python3"
    assert command(fresh, "lrnn", "notebook", "01").returncode == 0
    edit(fresh / "chapters/01_first.md", "The answer is", "We find")
    assert command(fresh, "lrnn", "notebook", "01").returncode == 0
    assert "We find" in path.read_text()
    path.write_text(path.read_text().replace("42", "43"))
    done = command(fresh, "lrnn", "notebook", "01")
    assert done.returncode == 2
    assert "not overwritten" in done.stderr
    # The notebook needs nothing but lrnn beside it.
    (fresh / "elsewhere").mkdir()
    done = command(fresh / "elsewhere", "papermill", path, "out.ipynb", "-p", "scale", "2")
    assert done.returncode == 0, done.stderr

"""A sweep's table, its summary and its figure, from results made by hand."""

import json
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lrnn.book.chapter import BookError
from lrnn.book.curves import choose_axes, draw_curves, write_curves
from lrnn.book.execute import Job
from lrnn.book.parameters import ParameterError
from lrnn.book.store import Outcome, Task
from lrnn.book.table import numbers, read_table, spreads, summary, table, varied, write_tables


def made(folder, runs):
    """The table of runs given as (parameters, values, claims), or (parameters, error)."""
    tasks, outcomes = [], {}
    for number, (parameters, *came_out) in enumerate(runs):
        key = f"key{number}"
        job = Job("x", None, {}, folder, folder / key / "executed.ipynb", {})
        tasks.append(Task(job, {"key": key, "parameters": parameters}))
        if len(came_out) == 1:
            outcomes[key] = Outcome("failed", came_out[0])
            continue
        outcomes[key] = Outcome("done")
        (folder / key).mkdir()
        results = {"values": came_out[0], "claims": came_out[1], "seconds": number + 0.5}
        (folder / key / "results.json").write_text(json.dumps(results))
    return table(tasks, outcomes)


def claim(id, value, verdict="holds"):
    return {"id": id, "value": value, "verdict": verdict}


def test_columns_say_what_they_are_and_failures_have_a_row(tmp_path):
    frame = made(
        tmp_path,
        [
            ({"g": 0.5, "seed": 0}, "lost"),
            ({"g": 0.5, "seed": 1}, {"seed": 7, "error": 0.25}, [claim("P5", 1.5), claim("P5", 2)]),
            ({"g": 0.5, "seed": 2}, {"seed": 8}, [claim("P5", None, "not testable here")]),
        ],
    )
    assert list(frame) == [
        *("key", "status", "g", "seed", "seed (glued)", "error (glued)"),
        *("P5", "P5 verdict", "P5 #2", "P5 #2 verdict", "seconds", "error"),
    ]
    assert list(frame["status"]) == ["failed", "done", "done"]
    assert list(frame["error"]) == ["lost", "", ""]
    assert list(frame["seed"]) == [0, 1, 2]
    assert frame["seed (glued)"].tolist()[1:] == [7, 8]
    assert frame["P5"].isna().tolist() == [True, False, True]
    assert frame["P5 verdict"].tolist()[1:] == ["holds", "not testable here"]
    assert frame["seconds"].tolist()[1:] == [1.5, 2.5]
    assert frame.attrs["parameters"] == ["g", "seed"]


def test_parquet_gives_back_the_table_whatever_was_glued(tmp_path):
    frame = made(
        tmp_path,
        [
            ({"sizes": [1, 2]}, {"a": 1, "mixed": 3, "big": 2**70, "yes": True}, []),
            ({"sizes": []}, {"a": "inf", "mixed": "many", "big": 1, "yes": False}, []),
            ({"sizes": [0.5]}, {"a": 0.5, "only": "text"}, []),
            ({"sizes": [1]}, "failed"),
        ],
    )
    write_tables(frame, tmp_path)
    read = read_table(tmp_path)
    pd.testing.assert_frame_equal(read, frame)
    assert read.attrs == frame.attrs
    assert read["a"].tolist()[:3] == [1, math.inf, 0.5]
    assert read["mixed"].tolist()[:2] == ["3", "many"]
    assert read["yes"].tolist()[:2] == ["True", "False"]
    assert read["big"].tolist()[0] == str(2**70)
    assert read["sizes"].tolist() == ["[1, 2]", "[]", "[0.5]", "[1]"]
    assert numbers(read) == ["a"]
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {
        "results.parquet",
        "results.csv",
    }


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    frame = made(tmp_path, [({"g": 1.0}, {"a": 1}, [])])
    write_tables(frame, tmp_path)
    before = (tmp_path / "results.parquet").read_bytes()

    def full(self, path, **rest):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(BookError, match=r"results.parquet cannot be written: No space left"):
        write_tables(frame, tmp_path)
    assert (tmp_path / "results.parquet").read_bytes() == before
    assert not list(tmp_path.glob(".results*"))
    with pytest.raises(BookError, match="holds no sweep"):
        read_table(tmp_path / "key0")


@pytest.fixture
def swept(tmp_path):
    """Two gains, two nonlinearities, 21 seeds: the value is 100 g + seed, for relu negative."""
    return made(
        tmp_path,
        [
            ({"phi": phi, "g": g, "seed": s, "n": 5}, {"v": sign * (100 * g + s)}, [])
            for phi, sign in (("tanh", 1), ("relu", -1))
            for g in (0.5, 0.3)
            for s in range(21)
        ]
        + [({"phi": "tanh", "g": 0.3, "seed": 21, "n": 5}, "failed")],
    )


def test_the_middle_of_21_seeds_lies_one_seed_from_the_extremes(swept):
    # Of the numbers 0 ... 20, 5 % lie at 1 and 95 % at 19.
    tanh = swept[swept["phi"] == "tanh"]
    found = spreads(tanh, ["g"], "v").round(9).to_dict("records")
    assert found == [
        {"g": 0.3, "low": 31, "median": 40, "high": 49, "runs": 21},
        {"g": 0.5, "low": 51, "median": 60, "high": 69, "runs": 21},
    ]
    rows = summary(swept).to_dict("records")
    assert rows[-1] == {"phi": "tanh", "g": 0.5, "runs": 21, "failed": 0, "v": "60 [51, 69]"}
    assert rows[-2] == {"phi": "tanh", "g": 0.3, "runs": 22, "failed": 1, "v": "40 [31, 49]"}
    assert varied(swept) == ["phi", "g"]


def test_a_sweep_over_seeds_alone_has_one_row(tmp_path):
    runs = [({"seed": s}, {"v": s}, []) for s in range(3)]
    assert summary(made(tmp_path, runs)).to_dict("records") == [
        {"runs": 3, "failed": 0, "v": "1 [0.1, 1.9]"}
    ]


def test_curves_show_medians_and_intervals(swept, tmp_path):
    figure, ax = plt.subplots()
    draw_curves(swept, "g", "v", ax=ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["phi = relu", "phi = tanh"]
    _, tanh = ax.containers
    line, _, [bars] = tanh
    np.testing.assert_allclose(line.get_xydata(), [[0.3, 40], [0.5, 60]])
    np.testing.assert_allclose(
        bars.get_segments(), [[[0.3, 31], [0.3, 49]], [[0.5, 51], [0.5, 69]]]
    )
    assert ax.get_xlabel() == "g"
    plt.close(figure)
    with plt.rc_context():
        write_curves(swept, tmp_path / "figure.png", x="phi", y=None)
        write_curves(swept, tmp_path / "figure.svg", x=None, y="v")
        with pytest.raises(ParameterError, match=r"figure.doc: .*not supported"):
            write_curves(swept, tmp_path / "figure.doc", x=None, y=None)
    assert (tmp_path / "figure.png").stat().st_size > 1000
    assert "<svg" in (tmp_path / "figure.svg").read_text()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ("n", None, "x = n: expected a parameter that varies, of phi, g"),
        (None, "w", "y = w: expected a glued value or claim that is a number, of v"),
    ],
)
def test_axes_that_do_not_fit_are_refused(swept, x, y, message):
    with pytest.raises(ParameterError) as error:
        choose_axes(swept, x, y)
    assert str(error.value) == message


def test_nothing_to_draw_is_said(tmp_path):
    frame = made(tmp_path, [({"g": 1.0}, {"text": "a"}, []), ({"g": 2.0}, "failed")])
    assert choose_axes(frame.assign(v=[1.0, 2.0]), None, None) == ("g", "v")
    with pytest.raises(ParameterError, match="nothing to draw along y"):
        choose_axes(frame, None, None)

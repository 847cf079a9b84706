"""The figure of a sweep: a number against a parameter, repetitions as intervals."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from lrnn.book.parameters import ParameterError
from lrnn.book.table import numbers, spreads, varied
from lrnn.plotting import MARKERS, use_style


def choose_axes(frame: pd.DataFrame, x: str | None, y: str | None) -> tuple[str, str]:
    """The columns to draw: those that are named, the first that there is for others.

    Raises : ParameterError if a column does not exist or does not fit
    """
    return (
        _one_of("x", x, varied(frame), "a parameter that varies"),
        _one_of("y", y, numbers(frame), "a glued value or claim that is a number"),
    )


def _one_of(axis: str, name: str | None, known: list[str], expected: str) -> str:
    if not known:
        raise ParameterError(f"nothing to draw along {axis}: the sweep has not {expected}")
    if name is not None and name not in known:
        raise ParameterError(f"{axis} = {name}: expected {expected}, of {', '.join(known)}")
    return name or known[0]


def draw_curves(frame: pd.DataFrame, x: str, y: str, *, ax: Axes) -> Axes:
    """Median of y against x with the middle 90 % of the runs that are alike but for their seeds.

    Each combination of the other varied parameters has a curve of its own.
    """
    others = [name for name in varied(frame) if name != x]
    groups = frame.groupby(others, sort=True) if others else [((), frame)]
    for index, (at, group) in enumerate(groups):
        curve = spreads(group, [x], y)
        below, above = curve["median"] - curve["low"], curve["high"] - curve["median"]
        ax.errorbar(
            curve[x],
            curve["median"],
            yerr=[below, above],
            marker=MARKERS[index % len(MARKERS)],
            markersize=4,
            capsize=2,
            label=", ".join(f"{name} = {value}" for name, value in zip(others, at, strict=True)),
        )
    ax.set_xlabel(x)
    ax.set_ylabel(f"{y}\n(median, middle 90 % of runs)")
    if others:
        ax.legend()
    return ax


def write_curves(frame: pd.DataFrame, path: Path, *, x: str | None, y: str | None) -> Path:
    """Write the figure to a file, of the format that its ending names; the file.

    Raises : ParameterError if a column does not fit, or matplotlib knows no such ending
    """
    x, y = choose_axes(frame, x, y)
    use_style()
    figure, ax = plt.subplots()
    draw_curves(frame, x, y, ax=ax)
    try:
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    except ValueError as error:
        raise ParameterError(f"{path}: {error}") from None
    finally:
        plt.close(figure)
    return path

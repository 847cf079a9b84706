"""What a chapter calls: check parameters, glue numbers into prose, record claims, show frames.

The machinery that executes and builds chapters lives in the modules beside this one and is not
imported here, so that an executed notebook re-runs anywhere `lrnn` is installed, without
papermill, jupytext or Sphinx.
"""

from lrnn.book.frames import frames
from lrnn.book.parameters import check_parameters
from lrnn.book.records import claim, glue


def __getattr__(name: str):
    """`sweep`, for notebooks of one's own; by its name, so that no chapter's code reaches it."""
    if name == "sweep":
        from importlib import import_module

        return import_module("lrnn.book.sweeps").sweep
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["check_parameters", "claim", "frames", "glue"]

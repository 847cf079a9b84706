"""Lets plain papermill read a chapter: `papermill myst://chapters/01_theory.md out.ipynb`."""

import jupytext
from papermill.iorw import LocalHandler

SCHEME = "myst://"


class MystHandler(LocalHandler):
    """Reads MyST markdown as a notebook, and everything else as papermill does."""

    def read(self, path):
        return jupytext.writes(jupytext.read(path.removeprefix(SCHEME)), fmt="ipynb")

    def pretty_path(self, path):
        return path.removeprefix(SCHEME)


myst = MystHandler()

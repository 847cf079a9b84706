"""A small book of two chapters, built by the real command in a folder of its own."""

import shutil
from pathlib import Path

import pytest
from small_book import SMALL, command


@pytest.fixture
def fresh(tmp_path):
    """The small book, never built."""
    return Path(shutil.copytree(SMALL, tmp_path / "book"))


@pytest.fixture(scope="session")
def built_once(tmp_path_factory):
    """The small book, built; do not change it."""
    root = shutil.copytree(SMALL, tmp_path_factory.mktemp("small") / "book")
    done = command(root, "lrnn", "build")
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(root)


@pytest.fixture
def built(built_once, tmp_path):
    """A built small book to change."""
    return Path(shutil.copytree(built_once, tmp_path / "book"))

"""A run's key changes with everything its outcome depends on, and with nothing else."""

import pytest

from lrnn.book import fingerprint
from lrnn.book.fingerprint import PACKAGE, reachable, run_key


def names(source):
    return {str(path.relative_to(PACKAGE)) for path in reachable([source])}


def test_reach_follows_imports_but_not_machinery():
    found = names("from lrnn.book import claim")
    assert {"book/records.py", "book/claims.toml", "__init__.py"} <= found
    assert not {"book/build.py", "book/sweeps.py"} & found
    assert names("import numpy") == set()
    assert names("from lrnn.book import (") == set()  # the kernel will name the error
    assert "book/records.py" in names("files = !ls\nfrom lrnn.book import claim")
    assert "book/progress.py" in names("%matplotlib inline\nfrom lrnn.book import build, progress")


def test_reach_follows_imports_inside_functions():
    # records imports the register at its top, check_parameters imports IPython inside.
    assert "book/register.py" in names("def f():\n    import lrnn.book.records")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A stand-in for lrnn: a imports b, c stands alone."""
    root = tmp_path / "lrnn"
    root.mkdir()
    for name, text in {"__init__": "", "a": "from lrnn import b", "b": "x = 1", "c": ""}.items():
        (root / f"{name}.py").write_text(text)
    monkeypatch.setattr(fingerprint, "PACKAGE", root)
    return root


def test_key_changes_with_what_the_run_depends_on(package, tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text("numpy==0\n")

    def key(code="import lrnn.a", values=None, lock=lock):
        return run_key([code], values or {"seed": 0}, folder=tmp_path, lock=lock)

    first = key()
    assert key() == first
    (package / "c.py").write_text("y = 2")
    assert key() == first
    keys = {first, key("import lrnn.a  # more"), key(values={"seed": 1})}
    (package / "b.py").write_text("x = 2")
    keys.add(key())
    keys.add(key(lock=tmp_path / "missing.lock"))
    (tmp_path / "data.csv").write_text("1")
    keys.add(key(values={"data": "data.csv"}))
    (tmp_path / "data.csv").write_text("2")
    keys.add(key(values={"data": "data.csv"}))
    (tmp_path / "folder").mkdir()
    keys.add(key(values={"data": "folder"}))
    (tmp_path / "folder/data.csv").write_text("2")
    keys.add(key(values={"data": "folder"}))
    assert len(keys) == 9

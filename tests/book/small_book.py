"""Commands and edits for tests on the small book in `small/`."""

import re
import subprocess
import sys
from pathlib import Path

SMALL = Path(__file__).parent / "small"
BIN = Path(sys.executable).parent


def command(folder, *words):
    """Run a command of this environment in a folder."""
    program, *rest = map(str, words)
    return subprocess.run(
        [str(BIN / program), *rest], cwd=folder, capture_output=True, text=True, timeout=300
    )


def edit(path, old, new):
    """Replace text that must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def without_tags(html):
    """The words of a page."""
    return re.sub(r"<[^>]*>", "", html)

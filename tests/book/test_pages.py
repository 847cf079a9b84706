"""Pages that follow the package: nothing public is missing from the API page."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_api_page_has_every_public_module():
    page = (ROOT / "chapters/api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"automodule:: lrnn\.(\w+)", page))
    public = {p.stem for p in (ROOT / "lrnn").glob("*.py") if not p.stem.startswith("_")}
    assert listed == public | {"book"}

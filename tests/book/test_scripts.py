"""Which scripts a page keeps."""

from sphinx.builders.html._assets import _JavaScript

from lrnn.book.scripts import without_thebe


def test_only_thebe_goes():
    kept = [_JavaScript("_static/doctools.js"), _JavaScript("", body="let hint = 'show';"), "a.js"]
    gone = [
        _JavaScript("_static/sphinx-thebe.js"),
        _JavaScript("", body="const THEBE_JS_URL = 'x'"),
        "thebe.js",
    ]
    assert without_thebe([*kept, *gone]) == kept

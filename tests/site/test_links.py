"""Links within the site, read from its files: each target exists, and so does each anchor."""

import functools
from urllib.parse import unquote, urlsplit

from browsing import NO_SITE, SITE
from bs4 import BeautifulSoup

TARGETS = {"a": "href", "link": "href", "script": "src", "img": "src", "source": "src"}


@functools.cache
def _page(name: str) -> BeautifulSoup:
    path = SITE / name
    assert path.is_file(), NO_SITE
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@functools.cache
def _anchors(name: str) -> frozenset[str]:
    return frozenset(
        tag[key] for key in ("id", "name") for tag in _page(name).find_all(attrs={key: True})
    )


def test_links_within_the_site_lead_somewhere(page_name: str):
    broken = []
    for tag in _page(page_name).find_all(list(TARGETS)):
        link = tag.get(TARGETS[tag.name])
        parts = urlsplit(link or "")
        if not link or parts.scheme or parts.netloc:
            continue
        path = (SITE / page_name).parent / unquote(parts.path) if parts.path else SITE / page_name
        path = path.resolve()
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file():
            broken.append(link)
        elif parts.fragment and path.suffix == ".html":
            target = str(path.relative_to(SITE.resolve()))
            if unquote(parts.fragment) not in _anchors(target):
                broken.append(link)
    assert broken == []

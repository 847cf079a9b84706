"""Every page of the site, opened in a browser: whole, self-contained, readable on a phone."""

import re

from visits import Visit

TEX = re.compile(r"\\[(\[]|\$\$|\$[^$\n]+\$|\\(?:frac|begin|mathbf|text|phi|kappa|top)\b")


def test_nothing_leaves_the_site(visits: dict[str, Visit], page_name: str, address: str):
    own = (address, "data:", "blob:")
    assert [url for url in visits[page_name].requests if not url.startswith(own)] == []


def test_every_request_is_answered(visits: dict[str, Visit], page_name: str):
    assert visits[page_name].failures == []


def test_the_console_is_silent(visits: dict[str, Visit], page_name: str):
    assert visits[page_name].complaints == []


def test_mathematics_is_set(visits: dict[str, Visit], page_name: str):
    visit = visits[page_name]
    assert visit.math_errors == []
    assert TEX.findall(visit.text) == []


def test_images_load_and_are_described(visits: dict[str, Visit], page_name: str):
    for image in visits[page_name].images:
        assert image["width"] > 0, f"{image['source']} did not load"
        # Sphinx falls back to the file's path where a page gives no description.
        described = image["alt"] and not image["alt"].endswith((".svg", ".png"))
        assert described, f"{image['source']} has no alt text"


def test_a_phone_needs_no_sideways_scrolling(visits: dict[str, Visit], page_name: str):
    assert visits[page_name].overflow == []


def test_the_checks_see_mathematics_and_figures(visits: dict[str, Visit]):
    """Guards the tests above: with nothing to look at, they would pass too."""
    chapters = [visit for name, visit in visits.items() if name.startswith("chapters/0")]
    assert chapters
    assert all(visit.images for visit in chapters)
    assert all(any("mathjax" in url for url in visit.requests) for visit in chapters)

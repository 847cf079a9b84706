"""Figures in frames, in a browser: alone, as a notebook has them, in a small book, on the site."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browsing import PHONE, SITE, page_names, served, settle
from bs4 import BeautifulSoup
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from matplotlib.figure import Figure
from playwright.sync_api import Browser, Locator, Page, expect
from test_reading import CHAPTERS, CONTRAST, DARK, LEGIBLE, LIGHT, turn

from lrnn.book import frames

ROOT = Path(__file__).parents[2]
MARK = re.compile(r'<figure class="[^"]*\bframes\b')
HEAVY = 5_000_000  # bytes of a page with its images
TARGET = 40  # CSS pixels under a finger
Visit = Callable[[Page], object]  # opens a place in a page
ALONE = "alone"
SMALL = "small book: "
HEAD = """<!doctype html><title>alone</title><meta name="viewport" content="width=device-width">
<style>body { background: white; color: black }</style>"""
# The first background behind an element that is seen.
GROUND = """(element) => {
  const background = (of) => getComputedStyle(of).backgroundColor;
  let behind = element;
  while (behind.parentElement && background(behind) === "rgba(0, 0, 0, 0)") {
    behind = behind.parentElement;
  }
  return background(behind);
}"""
# The first two are there without a site, so that the component is tested before it is used.
PLACES = [
    ALONE,
    f"{SMALL}chapters/01_first.html",
    *(name for name in page_names() if MARK.search((SITE / name).read_text(encoding="utf-8"))),
]
EVERYWHERE = pytest.mark.parametrize("place", PLACES)


def two_components() -> str:
    """HTML of two components, as cells display it."""
    InteractiveShell.instance()
    with capture_output() as captured:
        for name, start in {"fig-first": -1, "fig-second": 1}.items():
            figures = [(f"{count} neurons", Figure((4, 2))) for count in range(5)]
            words = {"caption": "Nothing.", "alt": "Empty, with", "label": "Number of neurons"}
            frames(figures, name=name, start=start, **words)
    return "".join(output.data["text/html"] for output in captured.outputs)


@pytest.fixture(scope="session")
def small_book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the small book, with this book's settings and style."""
    root = tmp_path_factory.mktemp("small") / "book"
    shutil.copytree(ROOT / "tests/book/small", root)
    shutil.copytree(ROOT / "_static", root / "_static")
    for name in ("_config.yml", "chapters/references.bib"):
        shutil.copy(ROOT / name, root / name)
    lrnn = Path(sys.executable).with_name("lrnn")
    subprocess.run([lrnn, "build"], cwd=root, check=True, capture_output=True)
    with served(root / "_build/html") as address:
        yield address


@pytest.fixture
def visit(request: pytest.FixtureRequest, place: str) -> Visit:
    """Opens the place in a page."""
    if place == ALONE:
        return lambda page: page.set_content(HEAD + two_components())
    address = request.getfixturevalue("small_book" if place.startswith(SMALL) else "address")
    return lambda page: page.goto(address + place.removeprefix(SMALL))


def components(page: Page, visit: Visit) -> list[Locator]:
    """The components of a place, when it is open."""
    visit(page)
    settle(page)
    figures = page.locator("figure.frames")
    expect(figures.first).to_be_attached()
    return figures.all()


def seen(figure: Locator) -> int:
    """Which frame is seen; it is the only one, and the text is its own."""
    images = figure.locator("img")
    visible = [index for index, image in enumerate(images.all()) if image.is_visible()]
    assert len(visible) == 1
    text = images.nth(visible[0]).get_attribute("data-frame")
    expect(figure.locator("output")).to_have_text(text)
    expect(figure.locator("input")).to_have_attribute("aria-valuetext", text)
    assert figure.locator("input").input_value() == str(visible[0])
    return visible[0]


@EVERYWHERE
def test_frames_follow_the_keys_and_the_buttons(page: Page, visit: Visit):
    complaints: list[str] = []
    page.on("console", lambda m: m.type not in ("error", "warning") or complaints.append(m.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for figure in components(page, visit):
        last = figure.locator("img").count() - 1
        back, forward = figure.locator("button").all()
        figure.locator("input").focus()
        for key, frame in {"Home": 0, "ArrowRight": 1, "End": last, "ArrowLeft": last - 1}.items():
            page.keyboard.press(key)
            assert seen(figure) == frame
        page.keyboard.press("Tab")
        expect(forward).to_be_focused()
        for frame in (last, last):  # a further step stays at the end, and so does the focus
            page.keyboard.press("Enter")
            assert seen(figure) == frame
        expect(forward).to_be_focused()
        expect(forward).to_have_attribute("aria-disabled", "true")
        back.click()
        assert seen(figure) == last - 1
    assert complaints == []


@EVERYWHERE
def test_components_of_a_page_do_not_touch_one_another(page: Page, visit: Visit):
    figures = components(page, visit)
    for figure in figures:
        before = [seen(other) for other in figures]
        figure.locator("button").nth(0 if seen(figure) else 1).click()
        changed = [seen(other) != old for other, old in zip(figures, before, strict=True)]
        assert changed == [other is figure for other in figures]


@EVERYWHERE
def test_the_page_does_not_jump(page: Page, visit: Visit):
    for figure in components(page, visit):
        heights = set()
        for value in range(figure.locator("img").count()):
            figure.locator("input").fill(str(value))
            heights.add(figure.bounding_box()["height"])
        assert len(heights) == 1


@EVERYWHERE
def test_a_frame_is_there_without_javascript(browser: Browser, visit: Visit):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    visit(page)  # without scripts nothing can be waited for; the frames are in the page itself
    for figure in page.locator("figure.frames").all():
        # A cell's output may be folded; what counts is what the component itself hides.
        assert figure.locator("img:not([hidden])").count() == 1
        assert figure.locator("figcaption p").inner_text()
        expect(figure.locator("input")).to_be_hidden()
    context.close()


@EVERYWHERE
def test_paper_has_one_frame_and_no_controls(page: Page, visit: Visit, place: str):
    figures = components(page, visit)
    page.emulate_media(media="print")
    for figure in figures:
        assert figure.locator("img:visible").count() == 1
        expect(figure.locator("figcaption")).to_be_visible()
        if place != ALONE:  # that is left to the site's style
            expect(figure.locator("input")).to_be_hidden()


@EVERYWHERE
def test_a_finger_moves_the_slider(browser: Browser, visit: Visit, place: str):
    context = browser.new_context(viewport=PHONE, is_mobile=True, has_touch=True)
    page = context.new_page()
    for figure in components(page, visit):
        figure.locator("input").scroll_into_view_if_needed()
        box = figure.locator("input").bounding_box()
        for share, frame in {0.01: 0, 0.99: figure.locator("img").count() - 1}.items():
            # Near the edge of the target, where a finger lands.
            page.touchscreen.tap(box["x"] + share * box["width"], box["y"] + 3)
            assert seen(figure) == frame
        if place != ALONE:
            for control in figure.locator("input, button").all():
                size = control.bounding_box()
                assert size["height"] >= TARGET
                assert size["width"] >= TARGET
    context.close()


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@EVERYWHERE
def test_controls_stand_out(page: Page, visit: Visit, place: str, theme: str):
    page.emulate_media(color_scheme=theme)
    figures = components(page, visit)
    if place != ALONE:
        turn(page, theme)
    for figure in figures:
        for element in figure.locator("output, button, figcaption p").all():
            assert element.evaluate(CONTRAST) >= LEGIBLE, element.evaluate("(e) => e.outerHTML")
        # The theme would lighten the output of a cell, and leave the caption in the dark.
        parts = figure.locator("output, figcaption").all()
        assert len({part.evaluate(GROUND) for part in parts}) == 1


@pytest.mark.parametrize("chapter", CHAPTERS or ["index"])
def test_a_chapter_that_makes_frames_shows_them(chapter: str):
    source = (ROOT / f"{chapter}.md").read_text(encoding="utf-8")
    page = (SITE / f"{chapter}.html").read_text(encoding="utf-8")
    calls = re.findall(r"^ *frames\(", source, re.MULTILINE)
    assert len(MARK.findall(page)) >= len(calls)


def test_pages_are_light(page_name: str):
    path = SITE / page_name
    images = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").find_all(
        "img", src=True
    )
    links = {urlsplit(image["src"]) for image in images}
    files = {path.parent / unquote(link.path) for link in links if not link.scheme}
    total = sum(file.resolve().stat().st_size for file in {path, *files})
    assert total < HEAVY, f"{total / 1e6:.1f} MB"

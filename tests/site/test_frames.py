"""Figures in frames, in a browser: alone, as a notebook has them, and on the pages of the site."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browsing import PHONE, SITE, page_names, settle
from bs4 import BeautifulSoup
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from matplotlib.figure import Figure
from playwright.sync_api import Browser, Locator, Page, expect
from test_reading import CHAPTERS, CONTRAST, DARK, LEGIBLE, LIGHT, turn

from lrnn.book import frames

ROOT = Path(__file__).parents[2]
MARK = '<figure class="frames" id="'
HEAVY = 5_000_000  # bytes of a page with its images
TARGET = 40  # CSS pixels under a finger
ALONE = "alone"
HEAD = """<!doctype html><title>alone</title><meta name="viewport" content="width=device-width">
<style>body { background: white; color: black }</style>"""
# The page without a site is always among them, so that the component is tested before it is used.
PLACES = [
    ALONE,
    *(name for name in page_names() if MARK in (SITE / name).read_text(encoding="utf-8")),
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


def opened(page: Page, address: str, place: str) -> list[Locator]:
    """Open a place; gives its components."""
    if place == ALONE:
        page.set_content(HEAD + two_components())
    else:
        page.goto(address + place)
    settle(page)
    components = page.locator("figure.frames")
    expect(components.first).to_be_attached()
    return components.all()


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
def test_frames_follow_the_keys_and_the_buttons(page: Page, address: str, place: str):
    complaints: list[str] = []
    page.on("console", lambda m: m.type not in ("error", "warning") or complaints.append(m.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for figure in opened(page, address, place):
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
def test_components_of_a_page_do_not_touch_one_another(page: Page, address: str, place: str):
    figures = opened(page, address, place)
    for figure in figures:
        before = [seen(other) for other in figures]
        figure.locator("button").nth(0 if seen(figure) else 1).click()
        changed = [seen(other) != old for other, old in zip(figures, before, strict=True)]
        assert changed == [other is figure for other in figures]


@EVERYWHERE
def test_the_page_does_not_jump(page: Page, address: str, place: str):
    for figure in opened(page, address, place):
        heights = set()
        for value in range(figure.locator("img").count()):
            figure.locator("input").fill(str(value))
            heights.add(figure.bounding_box()["height"])
        assert len(heights) == 1


@EVERYWHERE
def test_a_frame_is_there_without_javascript(browser: Browser, address: str, place: str):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    # Without scripts nothing can be waited for; the frames are in the page itself.
    if place == ALONE:
        page.set_content(HEAD + two_components())
    else:
        page.goto(address + place)
    for figure in page.locator("figure.frames").all():
        # A cell's output may be folded; what counts is what the component itself hides.
        assert figure.locator("img:not([hidden])").count() == 1
        assert figure.locator("figcaption p").inner_text()
        expect(figure.locator("input")).to_be_hidden()
    context.close()


@EVERYWHERE
def test_paper_has_one_frame_and_no_controls(page: Page, address: str, place: str):
    figures = opened(page, address, place)
    page.emulate_media(media="print")
    for figure in figures:
        assert figure.locator("img:visible").count() == 1
        expect(figure.locator("figcaption")).to_be_visible()
        if place != ALONE:  # that is left to the site's style
            expect(figure.locator("input")).to_be_hidden()


@EVERYWHERE
def test_a_finger_moves_the_slider(browser: Browser, address: str, place: str):
    context = browser.new_context(viewport=PHONE, is_mobile=True, has_touch=True)
    page = context.new_page()
    for figure in opened(page, address, place):
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
def test_controls_stand_out(page: Page, address: str, place: str, theme: str):
    page.emulate_media(color_scheme=theme)
    figures = opened(page, address, place)
    if place != ALONE:
        turn(page, theme)
    for figure in figures:
        for element in figure.locator("output, button, figcaption p").all():
            assert element.evaluate(CONTRAST) >= LEGIBLE, element.evaluate("(e) => e.outerHTML")


@pytest.mark.parametrize("chapter", CHAPTERS or ["index"])
def test_a_chapter_that_makes_frames_shows_them(chapter: str):
    source = (ROOT / f"{chapter}.md").read_text(encoding="utf-8")
    page = (SITE / f"{chapter}.html").read_text(encoding="utf-8")
    calls = re.findall(r"^ *frames\(", source, re.MULTILINE)
    assert page.count(MARK) >= len(calls)


def test_pages_are_light(page_name: str):
    path = SITE / page_name
    images = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").find_all(
        "img", src=True
    )
    links = {urlsplit(image["src"]) for image in images}
    files = {path.parent / unquote(link.path) for link in links if not link.scheme}
    total = sum(file.resolve().stat().st_size for file in {path, *files})
    assert total < HEAVY, f"{total / 1e6:.1f} MB"

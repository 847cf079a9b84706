"""What a reader does here: search, read in the dark, filter the ledger, take a notebook home."""

import nbformat
import pytest
from browsing import SITE, settle
from playwright.sync_api import Page, expect

DARK, LIGHT = "dark", "light"
THEME = "() => document.documentElement.dataset.theme"
# Contrast of an element's text with the first opaque background behind it (WCAG 2).
CONTRAST = """(element) => {
  const rgba = (text) => {
    const canvas = Object.assign(document.createElement("canvas"), {width: 1, height: 1});
    const context = canvas.getContext("2d", {willReadFrequently: true});
    context.fillStyle = text;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (colour) => {
    const [r, g, b] = rgba(colour).map((v) => v / 255).map(
      (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let behind = element;
  while (behind.parentElement && rgba(getComputedStyle(behind).backgroundColor)[3] < 255) {
    behind = behind.parentElement;
  }
  const pair = [luminance(getComputedStyle(element).color),
                luminance(getComputedStyle(behind).backgroundColor)].sort((a, b) => b - a);
  return (pair[0] + 0.05) / (pair[1] + 0.05);
}"""
LEGIBLE = 4.5  # WCAG AA, text of normal size
PAGES = sorted(f"chapters/{path.stem}" for path in SITE.glob("chapters/*.html"))
# Those that compute have a number.
CHAPTERS = [name for name in PAGES if name.removeprefix("chapters/")[0].isdigit()]


def turn(page: Page, theme: str) -> None:
    """Press the theme button until the page wears the theme; it has three states."""
    for _ in range(3):
        if page.evaluate(THEME) == theme:
            return
        page.locator(".theme-switch-button:visible").first.click()
    assert page.evaluate(THEME) == theme


def test_search_finds_a_word_and_leads_to_it(page: Page, address: str):
    page.goto(f"{address}search.html?q=latent")
    results = page.locator("#search-results li a")
    expect(results.first).to_be_visible()
    results.first.click()
    expect(page.locator("article")).to_contain_text("latent", ignore_case=True)


def test_search_opens_from_the_keyboard(page: Page, address: str):
    page.goto(f"{address}index.html")
    page.keyboard.press("Control+k")
    expect(page.locator(".search-button__wrapper input")).to_be_focused()


def test_dark_mode_is_dark_and_stays(page: Page, address: str):
    page.goto(f"{address}index.html")
    turn(page, DARK)
    page.goto(f"{address}chapters/claims.html")
    assert page.evaluate(THEME) == DARK
    background = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    channels = [float(value) for value in background.strip("rgba()").split(",")[:3]]
    assert max(channels) < 80


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize("name", ["index", *PAGES])
def test_text_stands_out(page: Page, address: str, name: str, theme: str):
    page.goto(f"{address}{name}.html")
    settle(page)
    turn(page, theme)
    kinds = [
        "article p",
        "article a:not(.headerlink)",
        ".search-button-field",
        ".bd-sidebar-primary a",
        "figcaption",
        ".glued",
        ".claim strong",
        ".claims-score b",
        ".claims-ledger td strong",
    ]
    faint = {}
    for kind in kinds:
        for element in page.locator(f"{kind}:visible").all()[:12]:
            if (contrast := element.evaluate(CONTRAST)) < LEGIBLE:
                faint[kind] = round(contrast, 2)
    assert faint == {}


def test_figures_keep_a_white_ground_in_the_dark(page: Page, address: str):
    assert CHAPTERS
    for chapter in CHAPTERS:
        page.goto(f"{address}{chapter}.html")
        turn(page, DARK)
        figure = page.locator("article figure img").first
        colour = figure.evaluate("(image) => getComputedStyle(image).backgroundColor")
        assert colour == "rgb(255, 255, 255)"


def test_every_chapter_gives_its_executed_notebook(page: Page, address: str):
    assert CHAPTERS
    for chapter in CHAPTERS:
        page.goto(f"{address}{chapter}.html")
        link = page.locator("a.btn-download-notebook-button")
        path = (SITE / "chapters" / link.get_attribute("href")).resolve()
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert all(cell.execution_count for cell in code), f"{chapter} is not executed"
        outputs = [output for cell in code for output in cell.outputs]
        assert any("image/svg+xml" in output.get("data", {}) for output in outputs)
        assert not any(output.output_type == "error" for output in outputs)
        assert any("parameters" in cell.metadata.get("tags", []) for cell in code)


@pytest.mark.parametrize("key", ["source", "chapter", "verdict"])
def test_the_ledger_filters(page: Page, address: str, key: str):
    page.goto(f"{address}chapters/claims.html")
    rows = page.locator(".claims-ledger tbody tr")
    choose = page.locator(f".claims-filter select[name={key}]")
    total = rows.count()
    values = [option.get_attribute("value") for option in choose.locator("option").all()]
    assert values[0] == ""
    assert len(values) > 1
    for value in values[1:]:
        choose.select_option(value)
        belonging = page.locator(f".claims-ledger tbody tr[data-{key}='{value}']").count()
        shown = page.locator(".claims-ledger tbody tr:visible")
        assert shown.count() == belonging < total
        expect(page.locator(".claims-count")).to_have_text(f"{belonging} of {total} rows")
    # The choice is part of the address, so that a filtered ledger can be shared.
    page.reload()
    expect(choose).to_have_value(values[-1])
    choose.select_option("")
    assert page.locator(".claims-ledger tbody tr:visible").count() == total

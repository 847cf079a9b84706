"""What one visit to a page shows."""

from typing import Any, NamedTuple

from browsing import DESKTOP, PHONE, settle
from playwright.sync_api import BrowserContext

# The text that a reader sees, without code and without mathematics that was set.
TEXT = """() => {
  const body = document.body.cloneNode(true);
  body.querySelectorAll("pre, code, script, style, mjx-container").forEach((e) => e.remove());
  return body.textContent;
}"""
IMAGES = """() => [...document.querySelectorAll("article img")].map((image) => ({
  source: image.getAttribute("src"), alt: image.alt, width: image.naturalWidth,
}))"""
# MathJax marks what it cannot parse, and sets the name of an unknown macro in red.
MATH_ERRORS = """() => [
  ...[...document.querySelectorAll("mjx-merror")].map((e) => e.title || e.textContent),
  ...[...document.querySelectorAll("mjx-container")].map((e) => e.textContent)
    .filter((text) => text.includes("\\\\")),
]"""
# Elements that stick out of the window to the right, unless a box around them scrolls or hides.
OVERFLOW = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const contained = (e) => e && (getComputedStyle(e).overflowX !== "visible"
    && e !== document.documentElement && e !== document.body || contained(e.parentElement));
  return [...document.body.querySelectorAll("*")]
    .filter((e) => e.getBoundingClientRect().right > width + 1 && !contained(e.parentElement))
    .map((e) => `${e.tagName.toLowerCase()}.${e.className}: ${e.textContent.trim().slice(0, 40)}`)
    .concat(`${document.documentElement.scrollWidth} px`);
}"""


class Visit(NamedTuple):
    """What a page did and showed.

    requests : every address it asked for
    failures : requests that failed, with their status or reason
    complaints : console errors and uncaught exceptions
    text : what is to be read on it, without code
    images : source, alt and natural width of each image of the article
    math_errors : what MathJax could not set
    overflow : on a phone, what sticks out of the window
    """

    requests: list[str]
    failures: list[str]
    complaints: list[str]
    text: str
    images: list[dict[str, Any]]
    math_errors: list[str]
    overflow: list[str]


def visit(context: BrowserContext, address: str, name: str) -> Visit:
    """Open a page on a desktop, then narrow the window to a phone's."""
    requests: list[str] = []
    failures: list[str] = []
    complaints: list[str] = []
    page = context.new_page()
    page.set_viewport_size(DESKTOP)
    page.on("request", lambda r: requests.append(r.url))
    page.on("requestfailed", lambda r: failures.append(f"{r.url}: {r.failure}"))
    page.on("response", lambda r: r.status < 400 or failures.append(f"{r.url}: {r.status}"))
    page.on("console", lambda m: m.type != "error" or complaints.append(m.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address + name)
    settle(page)
    text, images, errors = page.evaluate(TEXT), page.evaluate(IMAGES), page.evaluate(MATH_ERRORS)
    page.set_viewport_size(PHONE)
    overflow = page.evaluate(OVERFLOW)
    page.close()
    return Visit(requests, failures, complaints, text, images, errors, overflow)

"""The built site in a reader's browser: served over loopback, opened in headless Chromium."""

import functools
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

SITE = Path(__file__).parents[2] / "_build" / "html"
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
NAMES = ("chromium", "chromium-browser", "google-chrome")
NO_CHROMIUM = (
    "the site is checked in a real browser, and none of "
    + ", ".join(NAMES)
    + " is on PATH: install one (Debian: apt-get install chromium) or name one in $CHROMIUM"
)
NO_SITE = f"no site in {SITE}: build it with `make book`"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A request that leaves the site is reported by its test; it must not leave the machine either.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]


def page_names() -> list[str]:
    """Every page of the built site, as its path below the root; none if there is no site."""
    pages = (path.relative_to(SITE) for path in SITE.rglob("*.html"))
    return sorted(str(page) for page in pages if page.parts[0] != "_static")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a failed request is reported by the browser's side."""


@contextmanager
def served(site: Path = SITE) -> Iterator[str]:
    """Serve a site; gives its address, with a slash at the end.

    Raises : FileNotFoundError if the site is not built
    """
    if not (site / "index.html").is_file():
        raise FileNotFoundError(NO_SITE)
    handler = functools.partial(_Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a headless Chromium.

    Raises : FileNotFoundError if there is none on this machine
    """
    names = [os.environ["CHROMIUM"]] if "CHROMIUM" in os.environ else NAMES
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise FileNotFoundError(NO_CHROMIUM)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


def settle(page: Page) -> None:
    """Wait until mathematics is set and fonts and images are there."""
    page.evaluate("() => window.MathJax?.startup?.promise")
    page.evaluate("() => document.fonts.ready.then(() => true)")
    page.wait_for_function("() => [...document.images].every((image) => image.complete)")

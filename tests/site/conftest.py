"""Fixtures of the site tests: the served site, one browser, one visit to each page."""

from collections.abc import Iterator

import pytest
from browsing import DESKTOP, chromium, page_names, served
from playwright.sync_api import Browser, Page
from visits import Visit, visit


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    with served() as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def visits(address: str, browser: Browser) -> dict[str, Visit]:
    context = browser.new_context()  # one for all, so that common files are fetched once
    seen = {name: visit(context, address, name) for name in page_names()}
    context.close()
    return seen


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport=DESKTOP)
    yield page
    page.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "page_name" in metafunc.fixturenames:
        # Without a site there is still one test, and its fixture says how to build one.
        metafunc.parametrize("page_name", page_names() or ["index.html"])

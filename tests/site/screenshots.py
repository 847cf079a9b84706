"""Pictures of every page for people to look at: `python tests/site/screenshots.py DIR [PAGE ...]`.

Each page is taken whole, on a desktop in light and dark, and on a phone.
"""

import sys
from pathlib import Path

from browsing import DESKTOP, PHONE, chromium, page_names, served, settle

LOOKS = {
    "desktop": {"viewport": DESKTOP, "color_scheme": "light"},
    "dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "is_mobile": True, "has_touch": True},
}


def take(folder: Path, names: list[str]) -> None:
    """Write LOOK-PAGE.png for each page and look into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with served() as address, chromium() as browser:
        for look, options in LOOKS.items():
            context = browser.new_context(**options)
            for name in names:
                page = context.new_page()
                page.goto(address + name)
                settle(page)
                stem = name.removesuffix(".html").replace("/", "-")
                path = folder / f"{look}-{stem}.png"
                page.screenshot(path=path, full_page=True, animations="disabled")
                page.close()
            context.close()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    chosen = sys.argv[2:] or [name for name in page_names() if not name.startswith("_modules/")]
    take(Path(sys.argv[1]), chosen)

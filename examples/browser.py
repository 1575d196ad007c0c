"""A headless Chromium, which the app is tested in and its picture taken with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright


# No sandbox in containers, and nothing that Chromium would ask of the network by itself.
_ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync "
    "--no-first-run"
).split()


def find_chromium() -> str | None:
    """Where an installed Chromium or Chrome is, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """
    The browser, closed in the end.

    Raises:
        FileNotFoundError: If none is installed.
    """
    path = find_chromium()
    if path is None:
        raise FileNotFoundError("Found no Chromium: install it (`apt-get install chromium`), or Google Chrome.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()

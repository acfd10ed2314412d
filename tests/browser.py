"""A real browser without a window, for the caption page: Chromium, driven by selenium.

Needs the Debian packages chromium and chromium-driver.
"""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator

SWITCHES = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--window-size=1280,720")
CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"


def missing() -> str:
    """What has to be installed for this, or nothing."""
    return " ".join(package for package, path in (("chromium", CHROMIUM), ("chromium-driver", DRIVER)) if not shutil.which(path))


@contextlib.contextmanager
def chromium() -> Iterator:
    """A selenium driver of a new browser, which has nothing from before."""
    from selenium import webdriver
    with tempfile.TemporaryDirectory(prefix="chromium", ignore_cleanup_errors=True) as folder:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for switch in (*SWITCHES, f"--user-data-dir={folder}"):
            options.add_argument(switch)
        driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        try:
            yield driver
        finally:
            driver.quit()


def until(true: Callable[[], object], limit_s: float = 30.0) -> object:
    """What `true` returns as soon as that is anything; fails after `limit_s`."""
    end_s = time.monotonic() + limit_s
    while not (found := true()):
        assert time.monotonic() < end_s, "it did not come about in time"
        time.sleep(0.05)
    return found

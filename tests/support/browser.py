"""Headless Chromium, which opens the HTML reports as a reader's browser would.

``chromium`` starts one; a module's fixture ``browser`` keeps it for all its tests::

    def test_the_page_asks_for_nothing(browser: Browser, tmp_path: Path) -> None:
        browser.open(write(tmp_path, as_html(..)))
        browser.one("#search").send_keys("web-1")
        assert browser.complaints() == []
        assert browser.requests() == []

It is the machine's own ``chromium``, driven through its ``chromedriver``, with a profile that is thrown away and no
name server: a page that asked a network for something would be noticed, and would not get it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromedriver")

_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


class Browser:
    """A running Chromium, and the page it shows."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self._log: list[dict[str, Any]] = []

    def open(
        self, file: Path, *, dark: bool = False, script: bool = True, size: tuple[int, int] = (1280, 900)
    ) -> Browser:
        """Show *file*, in the theme that a reader prefers, with or without running scripts; when it is loaded."""
        command = self.driver.execute_cdp_cmd
        command("Emulation.setScriptExecutionDisabled", {"value": not script})
        theme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        command("Emulation.setEmulatedMedia", {"features": theme})
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        command("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get_log("performance")
        self.driver.get_log("browser")
        self._log = []
        self.driver.get(file.as_uri())
        return self

    def complaints(self) -> list[str]:
        """What the console has said since the page was opened: errors, warnings, what a policy forbade."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Every address asked for since, but for the page's own, and for data in the page itself."""
        self._log += [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [
            str(event["params"]["request"]["url"])
            for event in self._log
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [address for address in asked if not address.startswith("data:") and address != self.driver.current_url]

    def one(self, selector: str) -> Any:
        """The first element that the CSS selector names."""
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> Sequence[Any]:
        """All of them."""
        return list(self.driver.find_elements("css selector", selector))

    def script(self, text: str, *arguments: Any) -> Any:
        """What a script in the page returns."""
        return self.driver.execute_script(text, *arguments)

    def wait(self, condition: str, seconds: float = 5) -> None:
        """Until the JavaScript expression is true."""
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.driver, seconds, poll_frequency=0.02).until(
            lambda _: self.script(f"return Boolean({condition})")
        )

    def screenshot(self, file: Path) -> None:
        """What is on the screen, as PNG."""
        self.driver.save_screenshot(str(file))


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A running browser; skips the test where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium, which drives the browser, is not installed")
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed: no browser to open the page in")
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = str(shutil.which("chromium"))
    for option in (*_OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
    try:
        yield Browser(driver)
    finally:
        driver.quit()

"""A page in headless Chromium: its commands are copied whole, its lists fold, and it fits a telephone and paper."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from mntscope.model import Origin
from mntscope.output.document import (
    Commands,
    Document,
    Entries,
    Entry,
    Heading,
    Items,
    Paragraph,
    Remedy,
    Table,
    Verdict,
    Word,
    name,
)
from mntscope.output.formats import documents
from mntscope.output.graph import FORMATS as GRAPH
from mntscope.output.graph import whole
from mntscope.output.head import this_machine
from mntscope.output.writers.page import Made, Page
from tests.support.browser import Browser, chromium
from tests.support.sharing_worlds import World, large_world

LONG = "mount --namespace 4711 --make-rslave /var/lib/kubelet/pods/a-b-c-d/volumes/kubernetes.io~empty-dir/of-web-1"
HOSTILE = "mount --make-private '/mnt/<img src=x onerror=alert(1)>&amp;\"'"
MADE = Made("mntscope diff 4711 --format html", this_machine(Origin("web-1", time=0), "6.18.0", "#1 SMP"))
ENTRIES = (
    Entry(Word("critical", "critical"), (name("/a"), " -> ", name("/a"), " on the host"), "because", (LONG,)),
    Entry(Word("high", "high"), "b", commands=(HOSTILE,)),
)
DOCUMENT = Document(
    "Mounts",
    (
        Verdict("LEAKS", "critical", "2 mounts."),
        Heading("What leaks"),
        Entries(("Severity", "What", "Why", "To stop it"), ENTRIES),
        Paragraph("To stop all:"),
        Remedy((LONG,)),
        Table(("Path", "Number"), tuple((name(f"/srv/{number}"), str(number)) for number in range(40))),
        Items(tuple(f"line {number}" for number in range(20))),
        Commands(("first --one", "second --two")),
    ),
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "page.html"
    path.write_text(documents(_itself, here=True)["html"](DOCUMENT, Page(made=MADE)), "utf-8")
    return path


def _itself(document: Document, _page: Page) -> Document:
    return document


SIZES = [(1400, 1000), (420, 900)]


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
@pytest.mark.parametrize("dark", [True, False], ids=["dark", "light"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_page_fits_its_window_and_asks_nobody(
    browser: Browser, file: Path, size: tuple[int, int], dark: bool, script: bool
) -> None:
    browser.open(file, dark=dark, size=size, script=script)
    assert browser.one("h1").text == "Mounts"
    assert [term.text for term in browser.all("dt")] == ["Machine", "Captured", "Kernel", "Command", "mntscope"]
    assert browser.complaints() == []
    assert browser.requests() == []
    if script:
        assert browser.script("return document.documentElement.scrollWidth") <= size[0]
    # What cannot work without a script is not there without one.
    assert bool(browser.all("button")) is script


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_command_is_on_one_line(browser: Browser, file: Path, size: tuple[int, int]) -> None:
    browser.open(file, size=size)
    one_line = "return arguments[0].getClientRects().length == 1 && arguments[0].offsetHeight < 40"
    for code in browser.all("td code.command, .about code.command"):
        assert browser.script(one_line, code)
    # That what is scrolled is not under the button.
    for block in browser.all(".commands"):
        code, button = block.find_element("css selector", "pre"), block.find_element("css selector", "button")
        assert code.rect["x"] + code.rect["width"] <= button.rect["x"]


def clipboard(browser: Browser) -> str:
    """What a reader would paste."""
    browser.driver.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite"]})
    text = browser.driver.execute_async_script(
        "const done = arguments[0]; navigator.clipboard.readText().then(done, (error) => done(String(error)))"
    )
    return str(text)


def test_a_button_copies_the_very_command(browser: Browser, file: Path) -> None:
    browser.open(file)
    browser.driver.execute_cdp_cmd("Browser.resetPermissions", {})
    labels = {button.get_attribute("aria-label"): button for button in browser.all("button.copy")}
    for command in (LONG, HOSTILE, "first --one\nsecond --two", MADE.command):
        button = labels[f"Copy {command}"]
        button.click()
        browser.wait("document.querySelector('[role=status]').textContent.startsWith('Copied')")
        assert button.text == "Copied"
        assert clipboard(browser) == command
        browser.script("document.querySelector('[role=status]').textContent = ''")
    browser.wait("[...document.querySelectorAll('button.copy')].every((button) => button.textContent == 'Copy')")
    assert browser.complaints() == []


def test_and_does_so_for_who_has_no_mouse(browser: Browser, file: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.open(file)
    focused = browser.one("body")
    for _ in range(40):
        focused.send_keys(Keys.TAB)
        focused = browser.driver.switch_to.active_element
        if focused.get_attribute("aria-label") == f"Copy {HOSTILE}":
            break
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.script(outline) == "solid"
    focused.send_keys(Keys.ENTER)
    browser.wait("document.querySelector('[role=status]').textContent.startsWith('Copied')")
    assert clipboard(browser) == HOSTILE
    assert browser.driver.switch_to.active_element == focused


def test_where_the_clipboard_is_refused_it_is_copied_as_a_selection_is(browser: Browser, file: Path) -> None:
    browser.open(file)
    browser.script("navigator.clipboard.writeText = () => Promise.reject(new Error('no'))")
    browser.one(".commands .copy").click()
    browser.wait("document.querySelector('[role=status]').textContent.startsWith('Copied')")
    assert clipboard(browser) == LONG


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_what_is_long_folds_and_what_matters_stands_above_it(browser: Browser, file: Path, script: bool) -> None:
    browser.open(file, script=script)
    folded = browser.all("details")
    assert [each.text for each in folded] == ["40 rows", "20 lines"]
    assert not browser.all("details tbody tr")[0].is_displayed()
    folded[0].find_element("css selector", "summary").click()
    assert browser.all("details tbody tr")[39].is_displayed()
    order = [browser.one("h1"), browser.one("dl"), *browser.all(".commands")[:1], browser.one("table"), folded[0]]
    assert all(one.rect["y"] < other.rect["y"] for one, other in pairwise(order))


def paper(browser: Browser) -> bytes:
    printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    return base64.b64decode(printed["data"])


def test_on_paper_nothing_is_folded_and_there_are_no_buttons(browser: Browser, file: Path) -> None:
    browser.open(file, dark=True)
    for events in ("beforeprint", "afterprint"):
        browser.script(f"dispatchEvent(new Event('{events}'))")
        assert len(browser.all("details[open]")) == (2 if events == "beforeprint" else 0)
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert [button for button in browser.all("button") if button.is_displayed()] == []
        assert browser.script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        row = browser.script("return document.querySelectorAll('details tbody tr')[39]")
        assert browser.script("return arguments[0].checkVisibility() && arguments[0].offsetHeight > 0", row)
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert paper(browser).startswith(b"%PDF")


def drawn(tmp_path: Path, world: World, page: Page) -> Path:
    file = tmp_path / "graph.html"
    file.write_text(GRAPH["html"](whole(world.snapshot()), page), "utf-8")
    return file


def test_on_a_telephone_the_slaves_stand_below_their_masters(browser: Browser, tmp_path: Path) -> None:
    world = World("/", "/var").add("tool", "shared", only=["/"]).add("unit", "slave")
    browser.open(drawn(tmp_path, world, Page(made=MADE)), size=(420, 900))
    master, slave = browser.one(".both > .box"), browser.one(".both > .below > .one > .box")
    assert master.rect["y"] + master.rect["height"] <= slave.rect["y"]
    assert slave.rect["x"] >= 0
    assert slave.rect["x"] + slave.rect["width"] <= 420
    assert browser.script("return document.documentElement.scrollWidth") <= 420
    assert [term.text for term in browser.all("dt")][-2:] == ["Command", "mntscope"]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_what_is_typed_is_scrolled_to(browser: Browser, tmp_path: Path, size: tuple[int, int]) -> None:
    file = tmp_path / "graph.html"
    file.write_text(GRAPH["html"](whole(large_world(500)), Page()), "utf-8")
    browser.open(file, size=size)
    browser.one("#search").send_keys("app-490.service")
    browser.wait("document.querySelector('#found').textContent.includes('found')")
    # It is folded away: what it is folded into is in sight, and so is what is typed.
    in_sight = (
        "const area = arguments[0].getBoundingClientRect();"
        "return area.top >= 0 && area.bottom <= innerHeight && area.left >= 0 && area.right <= innerWidth + 1"
    )
    summary = browser.script(
        "let seen = document.querySelector('.hit');"
        "while (!seen.checkVisibility()) seen = seen.parentElement;"
        "return seen.matches('summary') ? seen : seen.querySelector('summary')"
    )
    assert browser.script(in_sight, summary)
    assert browser.script(in_sight, browser.one("#search"))
    assert browser.complaints() == []


def test_who_exchanges_nothing_is_named(browser: Browser, tmp_path: Path) -> None:
    world = World("/", "/var").add("tool", "shared", only=["/"])
    world.add("<b>alone</b>", "private").add("apart", "private")
    browser.open(drawn(tmp_path, world, Page()), script=False)
    browser.one(".apart > summary").click()
    assert browser.one(".apart > summary").text == "2 that exchange nothing"
    assert [each.text for each in browser.all(".apart li")] == ["<b>alone</b>", "apart"]

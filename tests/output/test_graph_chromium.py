"""The graph's page in headless Chromium: it draws, opens, searches and zooms, and asks nobody for anything."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mntscope.output.escape import visible
from mntscope.output.graph import FORMATS, whole
from mntscope.output.writers.page import Page
from mntscope.snapshot import Snapshot
from tests.support.browser import Browser, chromium
from tests.support.sharing_worlds import HOSTILE, World, hostile_world, large_world


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


def written(directory: Path, snapshot: Snapshot, name: str = "html") -> Path:
    """The page, in a file."""
    file = directory / f"graph.{name}"
    file.write_text(FORMATS[name](whole(snapshot), Page()), "utf-8")
    return file


def small() -> Snapshot:
    return World("/", "/var").add("tool", "shared", only=["/"]).add("unit", "slave").snapshot()


def forty() -> Snapshot:
    return large_world(40)


def five_hundred() -> Snapshot:
    return large_world(500)


MACHINES = [small, forty, five_hundred, hostile_world]


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
@pytest.mark.parametrize("dark", [True, False], ids=["dark", "light"])
@pytest.mark.parametrize("make", MACHINES)
def test_the_page_draws_without_complaint_and_without_asking_anyone(
    browser: Browser, tmp_path: Path, make: Callable[[], Snapshot], dark: bool, script: bool
) -> None:
    browser.open(written(tmp_path, make()), dark=dark, script=script)
    assert browser.one("h1").text == "Who shares mounts with whom"
    assert browser.one(".box").is_displayed()
    assert browser.one(".controls").is_displayed() == script
    assert browser.complaints() == []
    assert browser.requests() == []


@pytest.mark.parametrize("make", MACHINES)
def test_the_svg_draws_too(browser: Browser, tmp_path: Path, make: Callable[[], Snapshot]) -> None:
    browser.open(written(tmp_path, make(), "svg"))
    assert browser.one("rect").is_displayed()
    assert browser.complaints() == []
    assert browser.requests() == []


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_a_click_opens_a_box_and_then_a_group_with_its_members(browser: Browser, tmp_path: Path, script: bool) -> None:
    browser.open(written(tmp_path, small()), script=script)
    browser.one(".both > .box > summary").click()
    group = browser.one(".both > .box > .inside > details:last-of-type")
    assert group.text == "group 1: host:/ device 0:1"
    group.find_element("css selector", "summary").click()
    rows = [row.text for row in group.find_elements("css selector", "tbody tr")]
    assert rows == ["host / / tmpfs none 1", "tool / / tmpfs none 3"]


def test_all_groups_are_there_as_a_table_without_script(browser: Browser, tmp_path: Path) -> None:
    browser.open(written(tmp_path, small()), script=False)
    browser.one("main > details > summary").click()
    rows = [
        [cell.text for cell in row.find_elements("css selector", "td")]
        for row in browser.all("main > details tbody tr")
    ]
    assert rows == [
        ["1", "0:1", "host:/", "host, tool", "unit", "", "⇄ events pass both ways"],
        ["2", "0:2", "host:/var", "host", "unit", "", "stays within one namespace"],
    ]


def test_the_search_finds_what_is_folded_away_and_opens_the_way_to_it(browser: Browser, tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.open(written(tmp_path, five_hundred()))
    search = browser.one("#search")
    search.send_keys("app-490.service")
    browser.wait("document.querySelector('#found').textContent.includes('found')")
    assert not browser.one(".hit").is_displayed()
    search.send_keys(Keys.ENTER)
    current = browser.one(".current")
    assert current.is_displayed()
    assert "app-490.service" in current.text
    box, view = current.rect, browser.one(".view").rect
    assert view["y"] <= box["y"] <= view["y"] + view["height"]
    # A namespace and a path find the mount at that path in the box of that namespace.
    search.clear()
    search.send_keys("app-490 pods/007", Keys.ENTER)
    assert "/var/lib/kubelet/pods/007/volume" in browser.one(".current").text
    # What is not drawn is found in the table.
    search.clear()
    search.send_keys("0:24 stays", Keys.ENTER)
    assert browser.one(".current").is_displayed()
    # What is not there.
    search.clear()
    search.send_keys("no such thing")
    browser.wait("document.querySelector('#found').textContent == 'nothing found'")
    search.send_keys(Keys.ESCAPE)
    assert browser.all(".faint") == []
    assert browser.complaints() == []


def test_the_picture_zooms_and_moves(browser: Browser, tmp_path: Path) -> None:
    browser.open(written(tmp_path, forty()))

    def width() -> float:
        return float(browser.script("return document.querySelector('.box').getBoundingClientRect().width"))

    before = width()
    browser.one("#closer").click()
    assert width() == pytest.approx(1.25 * before, rel=0.01)
    assert browser.one("#whole").text == "125 %"
    browser.one("#fit").click()
    assert width() < before
    browser.one("#whole").click()
    assert width() == pytest.approx(before)
    # Dragging the background to the top shows what is further down.
    from selenium.webdriver.common.action_chains import ActionChains

    view = browser.one(".view")
    ActionChains(browser.driver).move_to_element_with_offset(
        view, view.rect["width"] // 2 - 40, 0
    ).click_and_hold().move_by_offset(0, -100).release().perform()
    assert browser.script("return arguments[0].scrollTop", view) == 100


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_is_no_wider_than_the_window(browser: Browser, tmp_path: Path, width: int) -> None:
    browser.open(written(tmp_path, hostile_world()), size=(width, 800))
    for summary in browser.all("main > details > summary"):
        summary.click()
    assert browser.script("return document.documentElement.scrollWidth") <= width


def test_hostile_names_are_read_as_they_are(browser: Browser, tmp_path: Path) -> None:
    browser.open(written(tmp_path, hostile_world()))
    for details in browser.all("details"):
        browser.script("arguments[0].open = true", details)
    text = browser.one("main").get_property("textContent")
    for name in HOSTILE[:-1]:
        assert visible(f"/{name}") in text
    # The page has two scripts less than it would have, were one of the names obeyed.
    assert len(browser.all("script")) == 1
    assert browser.all("img") == []
    assert browser.script("return document.title") == "Who shares mounts with whom"
    assert browser.complaints() == []
    assert browser.requests() == []


def test_the_browser_would_notice(browser: Browser, tmp_path: Path) -> None:
    """What the tests above rest on: a page that misbehaves is caught."""
    file = tmp_path / "bad.html"
    file.write_text("<img src=http://example.invalid/x.png><script>nothing_of_this_name()</script>")
    browser.open(file)
    assert browser.requests() == ["http://example.invalid/x.png"]
    assert any("nothing_of_this_name" in complaint for complaint in browser.complaints())
    page = written(tmp_path, small())
    page.write_text(
        page.read_text("utf-8").replace("<h1>", '<p style="color: red" onclick="x()">injected</p><h1>'), "utf-8"
    )
    browser.open(page)
    assert any("Content Security Policy" in complaint for complaint in browser.complaints())

"""The HTML of an audit in a browser: it reads, filters, and lets nothing in or out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from mntscope.output.audit import FORMATS, AuditReport
from mntscope.output.writers.page import Page
from tests.support.audits import SOME, found, hostile_report, made_up, report, with_everything
from tests.support.browser import Browser, chromium


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


def write(path: Path, what: AuditReport) -> Path:
    file = path / "audit.html"
    file.write_text(FORMATS["html"](what, Page()), "utf-8")
    return file


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Browser:
    return browser.open(write(tmp_path, with_everything()))


def shown(page: Browser) -> list[str]:
    return [str(each.get_attribute("id")) for each in page.all("article") if each.is_displayed()]


def test_a_page_is_opened_in_peace(page: Browser) -> None:
    assert page.complaints() == []
    assert page.requests() == []
    assert page.driver.title == "Mount audit of this machine"
    assert shown(page) == ["F1", "F2", "F3", "F4"]


@pytest.mark.parametrize("script", [True, False])
def test_a_hostile_machine_is_only_read(browser: Browser, tmp_path: Path, *, script: bool) -> None:
    page = browser.open(write(tmp_path, hostile_report()), script=script)
    assert page.complaints() == []
    assert page.requests() == []
    assert page.all("img") == []
    assert "<script>alert(1)</script>" in page.one("h1").text
    if script:
        assert page.script("return document.scripts.length") == 1
        # Everything is as wide as the window: nothing is pushed out of sight.
        assert page.script("return document.documentElement.scrollWidth <= innerWidth")


def test_findings_are_searched_by_any_word(page: Browser) -> None:
    page.one("input[type=search]").send_keys("MAKE-PRIVATE /proc")
    page.wait("document.querySelectorAll('article:not([hidden])').length == 1")
    assert shown(page) == ["F2"]
    assert page.one("output").text == "1 of 4 shown"
    page.one("button[type=reset]").click()
    page.wait("document.querySelectorAll('article[hidden]').length == 0")
    assert page.one("output").text == "4 of 4 shown"


def test_findings_are_filtered_by_severity_and_rule(page: Browser) -> None:
    page.one("input[value=critical]").click()
    page.wait("document.querySelectorAll('article:not([hidden])').length == 1")
    assert shown(page) == ["F4"]
    page.one("input[value=critical]").click()
    page.one("select[name=rule]").send_keys("MNT001")
    page.wait("document.querySelectorAll('article:not([hidden])').length == 1")
    assert shown(page) == ["F1"]


def test_a_link_opens_the_rule(page: Browser) -> None:
    page.one("#F1 h3 a").click()
    page.wait("document.getElementById('rule-MNT001').open")
    assert "Peers pass on every mount" in page.one("#rule-MNT001").text


def test_every_control_has_a_name(page: Browser) -> None:
    tree = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {"button", "checkbox", "combobox", "searchbox", "link", "search", "status", "DisclosureTriangle", "region"}
    controls = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree
        if not node.get("ignored") and node["role"]["value"] in roles
    ]
    assert {"button", "checkbox", "combobox", "searchbox", "link", "search"} <= {role for role, _ in controls}
    # A status is read out for what it says; all others have a name.
    assert [role for role, name in controls if not name and role != "status"] == []


def test_headings_are_in_order(page: Browser) -> None:
    levels = [int(each.tag_name[1]) for each in page.all("h1, h2, h3, h4") if each.is_displayed()]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_everything_is_read_without_a_script(browser: Browser, tmp_path: Path) -> None:
    page = browser.open(write(tmp_path, with_everything()), script=False)
    assert page.complaints() == []
    text = page.one("body").text
    assert "mount --namespace 4711 --make-rslave /" in text
    assert not page.one("#filter").is_displayed()
    page.one("#F1 summary").click()
    assert "Events arrive in" in page.one("#F1").text


def test_paper_has_what_is_folded_and_no_controls(page: Browser) -> None:
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    visible = "return document.querySelector(arguments[0]).checkVisibility()"
    assert not page.one("#filter").is_displayed()
    assert page.script(visible, "#F1 details table")
    assert page.script(visible, "#rule-MNT001 p")
    assert not page.script(visible, "#rule-MNT005 p")


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_told_from_its_ground(browser: Browser, tmp_path: Path, *, dark: bool) -> None:
    page = browser.open(write(tmp_path, with_everything()), dark=dark)
    colours = page.script("""
      const seen = [];
      const says = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
      for (const element of document.querySelectorAll("main *, header *")) {
        if (element.closest("svg") || !says(element)) continue;
        let ground = element;
        while (ground && getComputedStyle(ground).backgroundColor.endsWith(", 0)")) ground = ground.parentElement;
        const behind = getComputedStyle(ground || document.body).backgroundColor;
        seen.push([element.tagName, getComputedStyle(element).color, behind]);
      }
      return seen;
    """)
    low = [(tag, ink, ground) for tag, ink, ground in colours if contrast(ink, ground) < 4.5]
    assert low == []


def contrast(one: str, other: str) -> float:
    """The contrast of two colours ``rgb(r, g, b)`` (WCAG 2.2)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_many_findings_are_filtered_at_once(browser: Browser, tmp_path: Path) -> None:
    many = [found(f"trouble {number} at /mnt/{number}", path=f"/mnt/{number}") for number in range(100)]
    rules = [made_up(*many, id=f"X{number:03}") for number in range(4)]
    page = browser.open(write(tmp_path, report(rules=[*SOME, *rules])))
    page.one("input[type=search]").send_keys("/mnt/99")
    page.wait("document.querySelectorAll('article:not([hidden])').length == 4")
    assert page.one("output").text == "4 of 402 shown"

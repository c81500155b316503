"""What the benchmark concludes from the times it takes; the times themselves are no test."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mntscope.graph import PeerGraph
from mntscope.snapshot import Snapshot
from tests.benchmarks import growth
from tests.benchmarks.large import EACH, tables
from tests.benchmarks.results import Book, Ratio, earlier_ratios, exponent
from tests.benchmarks.timing import Contender, Failed, interleaved, of_commands, quotients
from tests.benchmarks.worlds import SHAPES


def taking(*seconds: float) -> Contender:
    """A contender that takes so long, time after time."""
    times: Iterator[float] = iter(seconds)
    return lambda: next(times)


def failing() -> float:
    raise Failed("it cannot")


def test_contenders_take_turns_and_the_first_turn_does_not_count() -> None:
    order: list[str] = []

    def noted(name: str) -> Contender:
        return lambda: order.append(name) or 1.0  # type: ignore[func-returns-value]

    assert interleaved({"a": noted("a"), "b": noted("b")}, 2) == {"a": [1.0, 1.0], "b": [1.0, 1.0]}
    assert order == ["a", "b"] * 3


def test_who_takes_long_runs_once() -> None:
    times = interleaved({"slow": taking(20.0), "quick": taking(9.0, 1.0, 2.0)}, 2, patience=10.0)
    assert times == {"slow": [20.0], "quick": [1.0, 2.0]}
    assert quotients(times["slow"], times["quick"]) == [20.0 / 1.5]


def test_who_fails_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    book = Book(times={"part": interleaved({"ours": taking(1.0, 1.0), "theirs": failing}, 1)})
    assert "theirs: it cannot" in capsys.readouterr().err
    book.times_as_fast("part", "as fast as theirs", "ours", "theirs", 2.0)
    assert book.ratios == {}
    assert book.notes == ["as fast as theirs: not measured, theirs is not here"]


def test_ratios_are_of_one_round() -> None:
    """The machine was half as fast in the second: that is no difference between the two."""
    book = Book(times={"part": {"ours": [1.0, 2.0], "theirs": [3.0, 6.0]}})
    book.times_as_fast("part", "as fast", "ours", "theirs", 2.0)
    book.times_the_time("part", "the time", "theirs", "ours", 2.0)
    fast, time = book.ratios["part"]
    assert (fast.samples, fast.reached) == ([3.0, 3.0], True)
    assert (time.samples, time.reached) == ([3.0, 3.0], False)


def test_the_table_says_where_a_peer_wins() -> None:
    book = Book(times={"part": {"ours": [2.0], "theirs": [1.0]}})
    book.times_as_fast("part", "without a goal", "ours", "theirs")
    book.times_as_fast("part", "with one", "ours", "theirs", 1.0)
    rows = [line.split("  ") for line in book.text().splitlines() if line.startswith("  with")]
    assert [row[-1].strip() for row in rows] == ["behind", "NO"]


def test_a_run_is_compared_with_an_earlier_one(tmp_path: Path) -> None:
    book = Book(times={"part": {"ours": [1.0], "theirs": [3.0]}})
    book.times_as_fast("part", "as fast", "ours", "theirs")
    file = tmp_path / "earlier.json"
    file.write_text(json.dumps(book.document()))
    slower = Book(times={"part": {"ours": [2.0], "theirs": [3.0]}})
    slower.times_as_fast("part", "as fast", "ours", "theirs")
    assert slower.text(earlier_ratios(file)).rstrip().endswith("3.00 WORSE")
    assert book.text(earlier_ratios(file)).rstrip().endswith("3.00")
    assert book.text({}).rstrip().endswith("new")


def test_a_ratio_that_is_worse_by_more_than_a_third_is_told() -> None:
    def book(ours: list[float]) -> Book:
        made = Book(times={"part": {"ours": ours, "theirs": [1.0] * 4}})
        made.times_the_time("part", "the time", "ours", "theirs")
        return made

    earlier = {"part: ours / theirs": 3.0}
    assert book([3.9] * 4).worsened({}, 4 / 3) == []
    told = book([4.1] * 4).worsened(earlier, 4 / 3)
    assert told == ["the time: 4.10 (4.10..4.10), where it was 3.00"]
    # A round in which somebody else was busy tells nothing.
    assert book([3.9, 3.9, 9.0, 9.0]).worsened(earlier, 4 / 3) == []
    assert book([3.9] * 4).worsened({"another": 1.0}, 4 / 3) == ["another: not measured"]


def test_the_baseline_names_no_machine(tmp_path: Path) -> None:
    book = Book(times={"part": {"a command": [2.0, 2.0], "limit": [1.0, 1.0]}})
    book.times_the_limit("part", "a command", 1.5)
    assert "times the limit" in book.text()
    baseline = book.baseline()
    assert baseline["machine"].keys() == {"kernel", "python", "processors"}
    file = tmp_path / "baseline.json"
    file.write_text(json.dumps(baseline))
    assert earlier_ratios(file) == {"part: a command / limit": 2.0}
    assert book.worsened(earlier_ratios(file), 4 / 3) == []


def test_processor_time_is_that_of_what_a_command_starts() -> None:
    busy = "import time; end = time.process_time() + 0.1\nwhile time.process_time() < end: pass"
    commands = {"busy": ["sh", "-c", f"{sys.executable} -c '{busy}'; true"], "waits": ["sleep", "0.1"]}
    times = of_commands(commands, 1, processor=True)
    assert times["busy"] > [0.1]
    assert times["waits"] < [0.1]


def test_spread_is_the_middle_half() -> None:
    assert Ratio("r", "r", [1.0, 2.0, 3.0, 4.0, 100.0], "at least", None).spread == (2.0, 4.0)
    assert Ratio("r", "r", [1.0, 100.0], "at least", None).spread == (1.0, 100.0)


def test_an_exponent_is_that_of_the_large_sizes() -> None:
    linear, quadratic = {"1000": 0.5, "5000": 1.0, "50000": 10.0}, {"1000": 0.5, "5000": 1.0, "50000": 100.0}
    assert exponent(linear) == pytest.approx(1.0)
    assert exponent(quadratic) == pytest.approx(2.0)
    assert exponent({"1000": 0.1, "5000": math.inf}) == math.inf


def test_commands_are_timed_and_checked() -> None:
    times = of_commands({"found": ["sh", "-c", "exit 1"], "trouble": ["sh", "-c", "exit 2"]}, 2)
    assert len(times["found"]) == 2
    assert times["trouble"] == []


def test_on_a_terminal_a_command_has_one() -> None:
    asks = ["sh", "-c", "test -t 1"]
    (seconds,) = of_commands({"it": asks}, 1, terminal=["it"])["it"]
    assert seconds > 0


@pytest.mark.parametrize("shape", SHAPES)
def test_machines_have_the_size_that_is_asked_for(shape: str) -> None:
    snapshot = SHAPES[shape](800)
    assert sum(len(view.mounts) for view in snapshot.views) == 800
    assert Snapshot.from_mountinfo({view.label: snapshot.mountinfo(view.label) for view in snapshot.views})
    assert PeerGraph.of(snapshot.views).groups


def test_large_tables_are_mountinfo() -> None:
    snapshot = Snapshot.from_mountinfo(tables(10 * EACH))
    assert sum(len(view.mounts) for view in snapshot.views) == 10 * EACH
    assert {mount.propagation for view in snapshot.views for mount in view.mounts} == {
        "shared",
        "slave",
        "shared,slave",
        "private",
    }


def test_growth_asks_every_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "SIZES", (160,))
    found = growth.measure(tuple(growth.COMMANDS), 1, lambda _: None)
    assert found.keys() == growth.COMMANDS.keys()
    assert all(shapes.keys() == SHAPES.keys() for shapes in found.values())
    assert all(0 < seconds < math.inf for shapes in found.values() for of in shapes.values() for seconds in of.values())


def test_what_fails_or_takes_too_long_is_not_asked_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: Snapshot) -> growth.Ask:
        return lambda: int("many")

    def slow(_: Snapshot) -> growth.Ask:
        return lambda: time.sleep(60)

    monkeypatch.setattr(growth, "SIZES", (80, 160))
    monkeypatch.setattr(growth, "SHAPES", {"wide": SHAPES["wide"]})
    monkeypatch.setattr(growth, "PATIENCE", 1)
    monkeypatch.setattr(growth, "COMMANDS", {"failing": failing, "slow": slow})
    told: list[str] = []
    found = growth.measure(("failing", "slow"), 2, told.append)
    assert found == {name: {"wide": {"80": math.inf}} for name in ("failing", "slow")}
    said = [line for line in told if "mounts" not in line]
    assert said == ["growth: ValueError: invalid literal for int() with base 10: 'many'", "growth: ended after 1 s"]
    row = Book(growth=found).text().splitlines()[-1].split()
    assert row == ["slow", "wide", "failed", "inf", "<=", "1.2", "NO"]


def test_growth_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "SIZES", (80,))
    told: list[str] = []
    assert growth.measure(("parse",), 1, told.append, most=-1) == {"parse": {}}
    assert len(told) == len(SHAPES)
    assert "How time grows" in Book(growth={"parse": {}}).text()

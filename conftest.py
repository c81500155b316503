"""What every test run shares: the seed of the day, printed, and that nothing is skipped unseen.

Random tests (hypothesis, and those that take the fixture ``seed``) follow one seed: ``MNTSCOPE_SEED``, else
today's date. A run is repeated by giving the seed that it printed. The kernel's fixtures are in tests/.
"""

from __future__ import annotations

import os
import re
import signal
import time

import hypothesis
import pytest

hypothesis.settings.register_profile("mntscope", deadline=None, print_blob=True)
hypothesis.settings.load_profile("mntscope")

SEED = int(os.environ.get("MNTSCOPE_SEED") or time.strftime("%Y%m%d", time.gmtime()))


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--only-skips REGEX``: a machine that can run everything says what it may skip all the same; ``--quick``."""
    parser.addoption("--only-skips", metavar="REGEX", help="fail where a test is skipped for another reason than this")
    parser.addoption("--quick", action="store_true", help="leave out the files that take longest")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give hypothesis the seed, before its plugin reads the option; and hear what ends a program."""
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = SEED
    # A shell's background job ignores these, and so would each program that the tests start and interrupt.
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


# The files that take longest: begun last, each would be waited for when all others are done. ``--quick`` does without.
LONG = (
    "tests/isolate/test_undoable.py",
    "tests/cli/test_signals.py",
    "tests/test_notebooks.py",
    "tests/cli/test_offline.py",
    "tests/selftest/test_selftest.py",
    "tests/isolate/test_faults.py",
    "tests/propagation/test_mutations.py",
    "tests/test_deb.py",
    "tests/test_ci.py",
    "tests/frames/test_frames.py",
    "tests/test_opened.py",
    "tests/test_pyz.py",
    "tests/test_public_api.py",
    "tests/fleet/test_planted.py",
    "tests/fleet/test_elsewhere.py",
    "tests/fleet/test_reports.py",
    "tests/archive/test_sosreport.py",
    "tests/live/test_many.py",
    "tests/live/test_users.py",
    "tests/jupyter/test_kernel.py",
    "tests/isolate/test_killed.py",
    "tests/isolate/test_concurrent.py",
    "tests/fleet/test_add.py",
    "tests/parse/test_engines.py",
    "tests/frames/test_table.py",
    "tests/test_contributing.py",
    "tests/watch/test_random.py",
    "tests/watch/test_unit.py",
    "tests/test_json.py",
    "tests/analysis/test_predict_kernel.py",
    "tests/live/test_statmount.py",
    "tests/isolate/test_trust.py",
    "tests/output/test_graph_chromium.py",
    "tests/cli/test_holders_scenes.py",
    "tests/fleet/test_hostile.py",
    "tests/output/test_page_chromium.py",
    "tests/jupyter/test_chromium.py",
    "tests/test_wheel.py",
    "tests/isolate/test_run.py",
    "tests/test_cases.py",
    "tests/output/test_graph.py",
    "tests/propagation/test_namespace_file.py",
    "tests/jupyter/test_display.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, or leave them out."""
    rank = {file: number for number, file in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(LONG)))
    if config.getoption("--quick"):
        long = [item for item in items if item.nodeid.partition("::")[0] in rank]
        config.hook.pytest_deselected(items=long)
        items[:] = items[len(long) :]


def pytest_report_header() -> str:
    """The line to copy when a run is to be repeated."""
    return f"MNTSCOPE_SEED={SEED}"


@pytest.fixture(scope="session")
def seed() -> int:
    """The seed of this run."""
    return SEED


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that skipped what it should not have."""
    if _unexpected_skips(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what should not have been skipped."""
    for line in _unexpected_skips(config):
        terminalreporter.write_line(f"UNEXPECTED SKIP {line}", red=True)


def _unexpected_skips(config: pytest.Config) -> list[str]:
    allowed = config.getoption("--only-skips")
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if allowed is None or reporter is None:
        return []
    return [
        f"{report.nodeid}: {report.longrepr[2]}"
        for report in reporter.stats.get("skipped", ())
        if not re.search(allowed, report.longrepr[2])
    ]

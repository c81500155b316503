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
    """``--only-skips REGEX``: a machine that can run everything says what it may skip all the same."""
    parser.addoption("--only-skips", metavar="REGEX", help="fail where a test is skipped for another reason than this")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give hypothesis the seed, before its plugin reads the option; and hear what ends a program."""
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = SEED
    # A shell's background job ignores these, and so would each program that the tests start and interrupt.
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


# The files that take longest: begun last, each would be waited for when all others are done.
LONG = (
    "tests/test_attacks.py",
    "tests/cli/test_signals.py",
    "tests/test_notebooks.py",
    "tests/isolate/test_faults.py",
    "tests/selftest/test_selftest.py",
    "tests/propagation/test_mutations.py",
    "tests/test_cases.py",
    "tests/archive/test_sosreport.py",
    "tests/live/test_many.py",
    "tests/live/test_users.py",
    "tests/jupyter/test_kernel.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest."""
    rank = {file: number for number, file in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(LONG)))


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

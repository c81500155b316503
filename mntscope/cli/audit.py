"""``mntscope audit [SNAPSHOT | TARGET...]``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from mntscope.base.progress import note
from mntscope.base.records import replace
from mntscope.cli.output_options import (
    TARGETS,
    add_against,
    add_fail_on,
    add_output_options,
    fail_on_of,
    page,
    write_output,
)
from mntscope.errors import TargetError, UsageError
from mntscope.graph.severity import SEVERITIES, at_least

if TYPE_CHECKING:
    from mntscope.graph import Severity
    from mntscope.output.audit import AuditReport
    from mntscope.rules import Audit, Finding, Rule
    from mntscope.snapshot import Snapshot

HELP = "is this machine sound? findings, with evidence and remedy"

EXAMPLES = (
    ("mntscope audit --fail-on high", "this machine; exit code 1 if a finding is severe"),
    ("mntscope audit web-1.mntscope.json.gz --format sarif -o mounts.sarif", "a captured machine, for code scanning"),
)

FORMATS = ("table", "json", "markdown", "html", "sarif", "junit", "prometheus")

EPILOG = f"""\
Without an argument the running machine is audited, all of it; with TARGETs only what concerns these namespaces is
reported. Settings (waivers, severities, roles) are read from mntscope.toml, [tool.mntscope] of pyproject.toml, or
/etc/mntscope.toml; the report says from which.

{TARGETS}
Exit codes: 0 nothing found at or above --fail-on, 1 found, 2 trouble"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "what", metavar="SNAPSHOT | TARGET", nargs="*", help="a snapshot file or sosreport, or some of the machine"
    )
    parser.add_argument("--snapshot", metavar="FILE", help="audit the machine in FILE, a snapshot or sosreport")
    add_against(parser)
    parser.add_argument("--rule", metavar="RULE", action="append", help="ask this rule only, by id or name; repeatable")
    parser.add_argument("--severity", choices=SEVERITIES, help="report findings at or above this severity only")
    add_fail_on(parser, default=None)
    parser.add_argument("--baseline", metavar="FILE", help="report only what the audit in FILE (its JSON) has not")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--settings", metavar="FILE", help="read the settings from FILE")
    where.add_argument("--no-settings", action="store_true", help="waive nothing, whatever files there are")
    parser.add_argument("--all", action="store_true", help="show long lists in full")
    add_output_options(parser, FORMATS)
    parser.epilog = EPILOG


def run(arguments: argparse.Namespace) -> int:
    """Read the machine, ask the rules, and say what they found."""
    from mntscope.output.audit import FORMATS as WRITERS

    report = _told(arguments)
    write_output(arguments, WRITERS[arguments.format](report, page(arguments)))
    return 1 if report.failing else 0


def result(arguments: argparse.Namespace) -> Audit:
    """What they found."""
    return _told(arguments).audit


def _told(arguments: argparse.Namespace) -> AuditReport:
    from datetime import datetime

    from mntscope.cli.settings import Settings, find, with_baseline
    from mntscope.output.audit import AuditReport
    from mntscope.rules import audit, installed

    known = installed()
    rules = _chosen(known, arguments.rule)
    settings = Settings() if arguments.no_settings else find(arguments.settings, known)
    if arguments.baseline is not None:
        settings = with_baseline(settings, arguments.baseline)
    snapshot, labels, subject = _machine(arguments)
    found = audit(snapshot, rules, settings.policy, progress=partial(note, "asking the rules"))
    return AuditReport(
        _reported(found, labels, arguments.severity),
        subject=subject,
        when=datetime.now().astimezone(),
        fail_on=settings.fail_on if arguments.fail_on is None else fail_on_of(arguments),
        settings=settings.file,
    )


def _chosen(rules: tuple[Rule, ...], wanted: Sequence[str] | None) -> tuple[Rule, ...]:
    from mntscope.rules import by_id

    if not wanted:
        return rules
    chosen = {by_id(each, rules).id for words in wanted for each in words.split(",")}
    return tuple(rule for rule in rules if rule.id in chosen)


def _machine(arguments: argparse.Namespace) -> tuple[Snapshot, frozenset[str] | None, str]:
    """The machine, the labels of those of its views that are asked about (``None``: all), and what it is called."""
    from mntscope.cli.targets import whole

    words: list[str] = list(arguments.what)
    file = arguments.snapshot or _file(words)
    if file is not None:
        snapshot = whole(file, arguments.against)
        labels = [_label_in(snapshot, file, word) for word in words]
        subject = os.path.basename(file.rstrip("/"))
    elif words and words[0].startswith("file:"):
        return _tables(arguments, words)
    else:
        snapshot = whole(None, arguments.against)
        labels = [_label(snapshot, word) for word in words]
        subject = snapshot.origin.host_name or os.uname().nodename
    if labels:
        subject = f"{', '.join(words[:3])}{' ..' if len(words) > 3 else ''} of {subject}"
    return snapshot, frozenset(labels) or None, subject


def _tables(arguments: argparse.Namespace, words: list[str]) -> tuple[Snapshot, frozenset[str] | None, str]:
    """A mountinfo text, beside the host's."""
    from mntscope.cli.targets import resolve

    if len(words) > 1:
        raise UsageError("an audit is of one machine", hint="put the tables into a directory, and name that")
    resolved = resolve(words[0], arguments.against, everything=True)
    return resolved.snapshot, frozenset([resolved.target]), words[0]


_ONE_MACHINE = "an audit is of one machine: audit one after the other"


def _file(words: list[str]) -> str | None:
    """The capture that *words* begin with, or are of: a file, which is taken from them, or a view of it."""
    from mntscope.cli.targets import capture_of

    first = words[0] if words else ""
    if first.startswith("snapshot:") and not capture_of(first):
        return first.removeprefix("snapshot:").rpartition("#")[0] or None
    file = capture_of(first) or (first if first and _is_file(first) else None)
    if file is not None:
        del words[0]
    return file


def _label_in(snapshot: Snapshot, file: str, word: str) -> str:
    """The view of a captured machine that a TARGET names."""
    from mntscope.cli.targets import view_in

    try:
        return view_in(snapshot, file, word).label
    except (TargetError, UsageError) as error:
        if isinstance(error, TargetError) and not _exists(word):
            raise
        raise UsageError(f"{word!r} is no part of {file}", hint=_ONE_MACHINE) from None


def _exists(word: str) -> bool:
    """Whether there is such a file; what it lies on may never answer."""
    from mntscope.kernel.worker import in_child

    return bool(in_child(lambda: b"yes" if os.path.exists(word) else b"", where=word))


def _is_file(word: str) -> bool:
    """Whether a word is a file's name rather than a TARGET."""
    from mntscope.cli.targets import parse_target

    try:
        parse_target(word)
    except UsageError as error:
        if _exists(word):
            return True
        raise UsageError(f"{word!r} is no file that is here, and no TARGET", hint=error.hint) from None
    return False


def _label(snapshot: Snapshot, word: str) -> str:
    """The view of the running machine that a TARGET names."""
    from mntscope.cli.targets import live_label, parse_target

    name = parse_target(word)
    if not name.live:
        raise UsageError(f"{word!r} is no part of this machine", hint=_ONE_MACHINE)
    return snapshot.host_label if name.kind == "host" else live_label(snapshot, name)


def _reported(found: Audit, labels: frozenset[str] | None, severity: Severity | None) -> Audit:
    """What is asked for of *found*."""
    from mntscope.base.display import Records

    def wanted(finding: Finding) -> bool:
        severe = severity is None or at_least(finding.severity, severity)
        about = {finding.subject, *(member.label for member in finding.evidence.mounts)}
        return severe and (labels is None or not labels.isdisjoint(about))

    return replace(
        found,
        findings=Records(filter(wanted, found.findings), found.findings.kind),
        known=tuple(filter(wanted, found.known)),
        waived=tuple(waived for waived in found.waived if wanted(waived.finding)),
    )

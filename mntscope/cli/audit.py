"""``mntscope audit [SNAPSHOT | TARGET...]``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mntscope.base.records import replace
from mntscope.cli.output_options import TARGETS, add_against, add_output_options, page, progress, write_output
from mntscope.errors import TargetError, UsageError
from mntscope.graph.severity import SEVERITIES

if TYPE_CHECKING:
    from mntscope.cli.settings import Settings
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
    parser.add_argument(
        "--fail-on",
        choices=[*SEVERITIES, "never"],
        help="the least severity that makes the exit code 1 (default: medium)",
    )
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
    with progress("asking the rules") as told_of:
        found = audit(snapshot, rules, settings.policy, progress=told_of)
    return AuditReport(
        _reported(found, labels, arguments.severity),
        subject=subject,
        when=datetime.now().astimezone(),
        fail_on=_fail_on(arguments.fail_on, settings),
        settings=settings.file,
    )


def _chosen(rules: tuple[Rule, ...], wanted: Sequence[str] | None) -> tuple[Rule, ...]:
    from mntscope.rules import by_id

    if not wanted:
        return rules
    chosen = {by_id(each, rules).id for words in wanted for each in words.split(",")}
    return tuple(rule for rule in rules if rule.id in chosen)


def _fail_on(asked: str | None, settings: Settings) -> Severity | None:
    if asked is None:
        return settings.fail_on
    return next((severity for severity in SEVERITIES if severity == asked), None)


def _machine(arguments: argparse.Namespace) -> tuple[Snapshot, frozenset[str] | None, str]:
    """The machine, the labels of those of its views that are asked about (``None``: all), and what it is called."""
    from mntscope.cli.targets import whole

    words: list[str] = arguments.what
    files = {arguments.snapshot} - {None}
    if words and _is_file(words[0]):
        files.add(words.pop(0))
    captured = [word for word in words if word.startswith("snapshot:")]
    files |= {word.removeprefix("snapshot:").rpartition("#")[0] for word in captured}
    if len(files) > 1 or len(captured) not in (0, len(words)) or (words and _is_file(words[0])):
        raise UsageError("an audit is of one machine", hint="audit one after the other")
    file: str | None = next(iter(files), None)
    if file is not None:
        snapshot = whole(file, arguments.against)
        labels = [snapshot.view(word.removeprefix(f"snapshot:{file}#")).label for word in words]
        subject = os.path.basename(file.rstrip("/"))
    elif words and words[0].startswith("file:"):
        return _tables(arguments, words)
    else:
        snapshot = whole(None, arguments.against)
        labels = [_label(snapshot, word) for word in words]
        subject = os.uname().nodename
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


def _is_file(word: str) -> bool:
    """Whether a word is a file's name rather than a TARGET."""
    from mntscope.cli.targets import parse_target
    from mntscope.kernel.worker import in_child

    try:
        parse_target(word)
    except UsageError as error:
        # What it lies on may never answer.
        if in_child(lambda: b"yes" if os.path.exists(word) else b"", where=word):
            return True
        raise UsageError(f"{word!r} is no file that is here, and no TARGET", hint=error.hint) from None
    return False


def _label(snapshot: Snapshot, word: str) -> str:
    """The view of the running machine that a TARGET names."""
    from mntscope.cli.targets import parse_target

    name = parse_target(word)
    if not name.live:
        raise UsageError(f"{word!r} is no part of this machine", hint="audit one machine at a time")
    if name.kind == "host":
        return snapshot.host_label
    if name.kind == "process":
        return snapshot.view(name.pid).label
    try:
        inode = os.stat(name.path).st_ino
    except OSError as error:
        raise TargetError(f"cannot read: {error.strerror}", where=name.path) from error
    for view in snapshot.views:
        if view.namespace.inode == inode:
            return view.label
    raise TargetError("it is no mount namespace that the capture found", where=name.path)


def _reported(found: Audit, labels: frozenset[str] | None, severity: Severity | None) -> Audit:
    """What is asked for of *found*."""
    from mntscope.base.display import Records

    def wanted(finding: Finding) -> bool:
        severe = severity is None or SEVERITIES.index(finding.severity) <= SEVERITIES.index(severity)
        about = {finding.subject, *(member.label for member in finding.evidence.mounts)}
        return severe and (labels is None or not labels.isdisjoint(about))

    return replace(
        found,
        findings=Records(filter(wanted, found.findings), found.findings.kind),
        known=tuple(filter(wanted, found.known)),
        waived=tuple(waived for waived in found.waived if wanted(waived.finding)),
    )

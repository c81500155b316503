"""docs/runtimes.md: for each runtime and option what leaks, what arrives, and the command that makes it safe."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tests.runtimes.target import Report, Row

_HEAD = """\
# What leaks out of real containers

Written by `make runtimes`, which starts each of these on a throwaway host whose mounts are all shared, as systemd makes
them; mounts something at every mount of the container and at the host's places; and reads in every namespace what
appeared. This is what the kernel did, and `mntscope diff` said the same unless a row says otherwise.

- **leaks**: what is mounted or unmounted there happens on the host, too.
- **receives**: what the host mounts or unmounts at these places happens in the container, and nothing the other way.
- **isolated**: nothing crosses.
- **the host**: it has no mount namespace of its own, so whatever it mounts is mounted on the host.

Paths of the host that begin with a runtime's own directories are where it has put the container's root directory.
`PID` is a process of the container; a command with `--namespace` stops what leaks now, and the option in the row above
or below decides about the next start. `ID` and `N` stand for ids and numbers. {kernel}
"""

_COLUMNS = ("Option", "Verdict", "Reaches the host from", "Arrives from the host's", "What makes it safe")
_VERDICTS = {"same-namespace": "the host"}
_SHOWN = 3


def text(reports: Sequence[Report], kernel: str, absent: dict[str, str]) -> str:
    """The page. *kernel* is its release; *absent* what was not looked at, with the reason."""
    parts = [_HEAD.format(kernel=f"Linux {kernel}.")]
    missing = []
    for report in reports:
        rows = [row for row in report.had if row.says]
        if rows:
            parts.append("\n".join(_section(report, rows)))
        missing += [
            f"{report.runtime}, {_code(row.option)}: {_plain(row.why_not)}" for row in report.rows if row.why_not
        ]
        missing += [f"{report.runtime}: {_plain(report.why_not)}"] if report.why_not else []
    missing += [f"{name}: {why}" for name, why in absent.items()]
    parts.append("\n".join(["## Not looked at", "", *(f"- {line}" for line in missing), ""]))
    return "\n".join(parts)


def _section(report: Report, rows: Sequence[Row]) -> Iterator[str]:
    yield f"## {report.runtime}"
    yield ""
    if report.version:
        yield f"{report.version}."
        yield ""
    yield f"| {' | '.join(_COLUMNS)} |"
    yield f"|{' --- |' * len(_COLUMNS)}"
    # Two of which all of this is the same are told of once.
    yield from dict.fromkeys(f"| {' | '.join(_cells(row))} |" for row in rows)


def _cells(row: Row) -> Iterator[str]:
    option = re.sub(r"^sandbox of pod .*", "(a pod's sandbox)", row.option)
    yield option if option.startswith("(") else _code(option)
    verdict = _VERDICTS.get(row.kernel, row.kernel)
    yield f"**{verdict}**" if row.kernel == "leaks" else verdict
    yield _paths(row.out)
    yield _paths(row.into)
    yield _safe(row)


def _safe(row: Row) -> str:
    if row.kernel == "same-namespace":
        return "a namespace of its own: `mntscope run -- COMMAND`"
    if row.kernel != "leaks":
        return ""
    # The last one stops all leaks at once, where there are several.
    return _code(row.safe[-1]) if row.safe else ""


def _paths(paths: Sequence[str]) -> str:
    """The topmost of them, with how many there are besides."""
    kept: list[str] = []
    for path in sorted({_without_ids(path) for path in paths}):
        if not any(path == above or path.startswith(f"{above.rstrip('/')}/") for above in kept):
            kept.append(path)
    shown = [_code(path) for path in kept[:_SHOWN]]
    if len(kept) > _SHOWN:
        shown.append(f"{len(kept) - _SHOWN} more")
    return ", ".join(shown)


def _without_ids(path: str) -> str:
    path = re.sub(r"(/\.#machine\.[\w-]+?)[0-9a-f]{16}(?=/|$)", r"\1ID", path)
    return re.sub(r"(?<=/dev/pts/)[0-9]+", "N", re.sub(r"[0-9a-f]{32,64}|[0-9]{14}[.][0-9]+", "ID", path))


def _code(words: str) -> str:
    """In a cell of a table, where a bar and a backtick would end it."""
    plain = words.replace("|", "\\|").replace("`", "'").replace("\n", " ")
    return f"`{plain}`"


def _plain(words: str) -> str:
    return _without_ids(words.replace("\n", " ")).strip()

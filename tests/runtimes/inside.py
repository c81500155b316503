"""``python -m tests.runtimes.inside RUNTIME``: on the throwaway host; starts its containers, looks at them, stops them.

Prints the report as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import mntscope
from tests.runtimes import check
from tests.runtimes.all import ALL
from tests.runtimes.scene import Failed, Scene, running, say
from tests.runtimes.target import Missing, Report, Row, Runtime, Target


def main() -> int:
    """One runtime; ``--few`` for a part of its options."""
    name, *rest = sys.argv[1:]
    runtime = ALL[name]
    report = Report(name)
    began = time.monotonic()
    with suppress(Failed):
        Scene(few=True).run("systemctl", "is-system-running", "--wait", seconds=20)
    before = _machine()
    scene = Scene(few="--few" in rest)
    targets: list[Target] = []
    try:
        for found in runtime.start(scene):
            say(f"  {name} {found.option}")
            if isinstance(found, Missing):
                report.rows.append(Row(name, found.option, why_not=found.why))
            else:
                targets.append(found)
        say(f"  {name}: started in {time.monotonic() - began:.0f} s")
        _look(runtime, targets, report)
    except Failed as error:
        # Of what starts at all, nothing that the suite relies on fails.
        report.why_not, report.failed = ("", str(error)) if targets else (str(error), "")
    except Exception:  # noqa: BLE001 - whatever it is, it belongs in the report
        report.failed = " ".join(traceback.format_exc().splitlines()[-4:])
    try:
        runtime.stop(scene)
    except Failed as error:
        report.left.append(f"stopping: {error}")
    scene.end()
    left = _left(runtime, before)
    for _ in range(20):
        if not left:
            break
        # A runtime's monitors clean up after their containers, for a while.
        time.sleep(0.5)
        left = _left(runtime, before)
    report.left += left
    report.seconds = time.monotonic() - began
    json.dump(asdict(report), sys.stdout)
    return 0


def _look(runtime: Runtime, targets: Sequence[Target], report: Report) -> None:
    running = [target for target in targets if not target.names_only]
    looked = check.Check(runtime.name, running)
    began = time.monotonic()
    if running:
        looked.host()
    say(f"  {runtime.name}: the host's places in {time.monotonic() - began:.0f} s")
    for target in running:
        row = looked.target(target)
        report.rows.append(row)
        say(f"  {runtime.name} {row.option}: {row.says}, {row.checks} checks, {row.seconds:.1f} s")
    statuses = mntscope.namespaces(mntscope.capture()).namespaces
    shown = {status.view.namespace.inode: status.name for status in statuses}
    for target in targets:
        row = Row(runtime.name, target.option) if target.names_only else looked.rows[target.pid]
        if target.names_only:
            report.rows.append(row)
        inode = os.stat(f"/proc/{target.pid}/ns/mnt").st_ino if target.pid else 0
        check.names(target, row, shown.get(inode, ""))
    for target in running:
        looked.for_good(target)


def _machine() -> dict[str, set[str]]:
    """What has to be as before once the runtime is stopped: mounts of the host, and programs that run."""
    mounts = {line.split()[4] for line in Path("/proc/1/mountinfo").read_text(errors="replace").splitlines()}
    return {"mounts": mounts, "programs": running()}


# What systemd itself starts when it is first asked for.
_OWN = frozenset(
    {
        *("python", "python3", "python3.11", "sh", "dbus-daemon", "systemd-logind", "systemd-machine"),
        *("systemd-hostnam", "systemd-timedat", "systemd-localed", "(sd-pam)"),
    }
)


def _left(runtime: Runtime, before: dict[str, set[str]]) -> list[str]:
    after = _machine()
    left = [f"the program {program} runs" for program in sorted(after["programs"] - before["programs"] - _OWN)]
    if runtime.host_table:
        left += [f"{path} is mounted" for path in sorted(after["mounts"] - before["mounts"])]
        left += [f"{path} is not mounted any more" for path in sorted(before["mounts"] - after["mounts"])]
    return left


if __name__ == "__main__":
    sys.exit(main())

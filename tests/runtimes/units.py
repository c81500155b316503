"""Units of systemd, with every option that touches mounts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

from tests.runtimes.foreseen import Asked
from tests.runtimes.packages import BUSYBOX
from tests.runtimes.scene import VOLUME, Failed, Scene, unpack, wait_for
from tests.runtimes.target import Missing, Runtime, Target

_ROOT = "/srv/root"

_OPTIONS = {
    "plain": "",
    "privatemounts": "PrivateMounts=yes",
    "privatetmp": "PrivateTmp=yes",
    "flags-shared": "MountFlags=shared",
    "flags-slave": "MountFlags=slave",
    "flags-private": "MountFlags=private",
    "tmp-flags-shared": "PrivateTmp=yes MountFlags=shared",
    "strict": "ProtectSystem=strict ProtectHome=yes PrivateDevices=yes",
    "bind": f"BindPaths={VOLUME}:/srv/other",
    "rootdir": f"RootDirectory={_ROOT} MountAPIVFS=yes",
    # From here on: where there is time.
    "tmp-flags-slave": "PrivateTmp=yes MountFlags=slave",
    "tmp-flags-private": "PrivateTmp=yes MountFlags=private",
    "bindro": f"BindReadOnlyPaths={VOLUME}:/srv/other",
    "norbind": f"BindPaths={VOLUME}:/srv/other:norbind",
    "tmpfs": "TemporaryFileSystem=/srv:ro",
    "paths": f"ReadOnlyPaths=/srv ReadWritePaths={VOLUME} InaccessiblePaths=/srv/other",
    "exec": "NoExecPaths=/srv ExecPaths=/srv/other",
    "proc": "ProtectProc=invisible ProcSubset=pid",
    "dynamic": "DynamicUser=yes",
    "kernel": "ProtectKernelTunables=yes ProtectControlGroups=yes ProtectKernelModules=yes",
    "kernellogs": "ProtectKernelLogs=yes ProtectClock=yes",
    "hostname": "ProtectHostname=yes",
    "hometmpfs": "ProtectHome=tmpfs",
    "full": "ProtectSystem=full",
    "users": "PrivateUsers=yes PrivateTmp=yes",
    "network": "PrivateNetwork=yes",
    "ipc": "PrivateIPC=yes",
    "state": "StateDirectory=probe RuntimeDirectory=probe PrivateTmp=yes",
    "rootdir-shared": f"RootDirectory={_ROOT} MountFlags=shared BindPaths={VOLUME}:/vol",
    "rootdir-bind": f"RootDirectory={_ROOT} BindPaths={VOLUME}:/vol",
}
_FEW = 10


def start(scene: Scene) -> Iterator[Target | Missing]:
    """One unit for each; and systemd's own, as they are."""
    scene.volumes()
    os.makedirs("/srv/other", exist_ok=True)
    unpack(BUSYBOX, _ROOT)
    for name, option in list(_OPTIONS.items())[: _FEW if scene.few else None]:
        yield _unit(scene, f"u-{name}", option)
    for service in ("systemd-logind", "systemd-journald", "systemd-timesyncd", "systemd-resolved"):
        pid = int(scene.run("systemctl", "show", "-P", "MainPID", service) or 0)
        if pid:
            yield _named(service, pid, f"{service}.service")


def _unit(scene: Scene, name: str, option: str) -> Target | Missing:
    shown = option or "(no option)"
    lines = "".join(f"{one}\n" for one in option.split())
    asked = Asked(f"[Service]\nExecStart=/bin/sleep 1d\n{lines}", file=f"{name}.service")
    try:
        scene.run("systemd-run", "-q", f"--unit={name}", *(f"-p{one}" for one in option.split()), "/bin/sleep", "1d")
    except Failed as error:
        return Missing(shown, str(error))
    pid = wait_for([int(scene.run("systemctl", "show", "-P", "MainPID", name))], "sleep")
    if not pid:
        why = scene.run("journalctl", "-u", name, "-n", "3", "-o", "cat", "--no-pager").splitlines()
        return Missing(shown, f"it does not start: {' '.join(why)[-200:]}")
    named = _named(shown, pid, f"{name}.service")
    # One without a namespace of its own is the host, which no preview is of.
    return replace(named, foreseen=asked.compared(pid)) if named.calls else named


def _named(option: str, pid: int, unit: str) -> Target:
    """A unit that has a mount namespace of its own is known by its name; in the host's it is the host."""
    own = os.stat(f"/proc/{pid}/ns/mnt").st_ino != os.stat("/proc/1/ns/mnt").st_ino
    return Target(option, pid, (unit,) if own else (), unit if own else "", container=False)


def stop(scene: Scene) -> None:
    """All of them."""
    scene.run("systemctl", "stop", "u-*.service")
    scene.no_volumes()


UNITS = Runtime("units", (), start, stop, (BUSYBOX,))

"""Configurations of containers for runc and crun: each is about one thing that matters to mounts.

Their sources are what :mod:`tests.preview.scene` makes on its host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Config = dict[str, Any]

IDS = {
    "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65_536}],
    "gidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65_536}],
}

USUAL: dict[str, tuple[str, str]] = {
    "/proc": ("proc", ""),
    "/dev": ("tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
    "/dev/pts": ("devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620"),
    "/dev/shm": ("tmpfs", "nosuid,noexec,nodev,mode=1777,size=65536k"),
    "/dev/mqueue": ("mqueue", "nosuid,noexec,nodev"),
    "/sys": ("sysfs", "nosuid,noexec,nodev,ro"),
}
"""By destination: type and options."""

MASKED = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware")
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def mount(destination: str, kind: str, options: str = "", source: str | None = None, **more: Any) -> dict[str, Any]:
    """An entry of ``mounts``."""
    return {
        "destination": destination,
        "type": kind,
        "source": source or kind,
        "options": options.split(",") if options else [],
        **more,
    }


def bind(source: str, destination: str, options: str, **more: Any) -> dict[str, Any]:
    """A bind, with what its options say."""
    return mount(destination, "bind", options, source, **more)


def config(
    *mounts: Mapping[str, Any],
    root: str | None = None,
    writable: bool = False,
    without: Iterable[str] = (),
    host: Iterable[str] = (),
    user: bool = False,
    masked: Sequence[str] = MASKED,
    read_only: Sequence[str] = READ_ONLY,
) -> Config:
    """A config.json: *root* is the root filesystem's propagation, *without* some of the usual mounts.

    The namespaces of *host* are the host's; with *user* there is a user namespace (and a network, to have a sysfs).
    """
    own = [kind for kind in ("pid", "ipc", "uts", "mount") if kind not in host]
    linux: Config = {
        "namespaces": [{"type": kind} for kind in own],
        "maskedPaths": list(masked),
        "readonlyPaths": list(read_only),
    }
    if root:
        linux["rootfsPropagation"] = root
    if user:
        linux["namespaces"] += [{"type": "user"}, {"type": "network"}]
        linux |= IDS
    usual = [mount(path, kind, options) for path, (kind, options) in USUAL.items() if path not in {*without}]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/sleep", "1000"],
            "env": ["PATH=/bin"],
            "cwd": "/",
        },
        "root": {"path": "rootfs", "readonly": not writable},
        "mounts": [*usual, *mounts],
        "linux": linux,
    }


DATA, PRIVATE, VOL = "/srv/data", "/srv/private", "/vol"
SHARED = bind(DATA, VOL, "rbind,rshared")

CONFIGURATIONS: dict[str, Config] = {
    # Propagation of a volume, and of the root filesystem.
    "nothing but the usual": config(),
    "a root that can be written to": config(writable=True),
    "a slave": config(bind(DATA, VOL, "rbind,rslave"), root="rslave"),
    "a peer": config(SHARED, root="rshared"),
    "private, read-only": config(bind(DATA, VOL, "rbind,rprivate,ro")),
    "no word of propagation": config(bind(DATA, VOL, "rbind")),
    "one mount only": config(bind(DATA, VOL, "bind,rw,nosuid")),
    "a subdirectory": config(bind(f"{DATA}/dir", VOL, "rbind,rslave"), root="rslave"),
    "a slave of what is private": config(bind(PRIVATE, VOL, "rbind,rslave"), root="rslave"),
    "a peer of what is private": config(bind(PRIVATE, VOL, "rbind,rshared"), root="rshared"),
    "unbindable": config(bind(DATA, VOL, "rbind,runbindable")),
    "shared, not its submounts": config(bind(DATA, VOL, "bind,shared"), root="rshared"),
    "two words of propagation": config(bind(DATA, VOL, "rbind,rslave,rshared"), root="rslave"),
    "one mount, whose word is for all": config(bind("/", "/host", "bind,rslave"), root="rslave"),
    "all, whose word is for one": config(bind(DATA, VOL, "rbind,slave"), root="rslave"),
    "an unbindable submount": config(bind("/srv/unbindable", VOL, "rbind")),
    "a slave of a slave": config(bind("/srv/slave", VOL, "rbind,rslave"), root="rslave"),
    "a peer of a slave": config(bind("/srv/slave", VOL, "rbind,rshared"), root="rshared"),
    "root shared": config(root="shared"),
    "root private": config(bind(DATA, VOL, "rbind,rshared"), root="private"),
    "root unbindable": config(root="unbindable"),
    "root a slave": config(bind(DATA, VOL, "rbind,shared"), root="slave"),
    # The host's own trees.
    "the host": config(bind("/", "/host", "rbind,rslave,ro"), root="rslave"),
    "the host, shared": config(bind("/", "/host", "rbind,rshared"), root="rshared"),
    "the host's proc": config(bind("/proc", "/host", "rbind,rprivate,ro"), root="rslave"),
    "the host's proc for its own": config(bind("/proc", "/proc", "rbind"), without=["/proc"]),
    "the host's sys for its own": config(bind("/sys", "/sys", "rbind,rslave"), root="rslave", without=["/sys"]),
    "the host's sys, read-only": config(bind("/sys", "/host", "bind,ro,nosuid,nodev,noexec")),
    "the host's dev for its own": config(
        bind("/dev", "/dev", "rbind,rslave"),
        root="rslave",
        without=[path for path in USUAL if path.startswith("/dev")],
    ),
    "the host's namespaces": config(host=["ipc", "pid"]),
    # One over, in, and beside another.
    "one in another": config(
        bind(DATA, VOL, "rbind,rslave"), bind(PRIVATE, f"{VOL}/sub", "rbind,rprivate"), root="rslave"
    ),
    "one over another": config(bind(DATA, VOL, "rbind,rprivate"), bind(PRIVATE, VOL, "rbind,rprivate")),
    "the outer one last": config(bind(PRIVATE, f"{VOL}/sub", "rbind"), bind(DATA, VOL, "rbind")),
    "one source twice": config(bind(DATA, VOL, "rbind,rslave"), bind(DATA, "/host", "rbind,rslave"), root="rslave"),
    "one source in three ways": config(
        bind(DATA, "/a", "rbind,rslave"),
        bind(f"{DATA}/inner", "/b", "bind,rprivate"),
        bind(DATA, "/c", "rbind,rshared"),
        root="rslave",
    ),
    "a bind in a peer": config(SHARED, bind(PRIVATE, f"{VOL}/sub", "rbind,rprivate"), root="rshared"),
    "a tmpfs in a peer": config(SHARED, mount(f"{VOL}/sub", "tmpfs", "size=1m"), root="rshared"),
    "a read-only path in a peer": config(SHARED, root="rshared", read_only=[f"{VOL}/dir", "/proc/sys"]),
    "a mask in a peer": config(SHARED, root="rshared", masked=[f"{VOL}/dir", f"{VOL}/nothing", "/proc/acpi"]),
    # Files.
    "a file, read-only": config(bind(f"{DATA}/file", "/etc/hostname", "bind,ro")),
    "a file where there is none": config(bind(f"{DATA}/file", "/etc/new", "bind,noexec,nosuid,nodev")),
    "a file that is a slave": config(bind(f"{DATA}/file", "/etc/hostname", "rbind,rslave"), root="rslave"),
    "a device": config(bind("/dev/null", "/etc/hostname", "rbind,rprivate")),
    "a file of proc": config(bind(f"{DATA}/file", "/proc/cpuinfo", "bind,ro")),
    "another file of proc": config(bind(f"{DATA}/file", "/proc/version", "bind,ro")),
    "a volume for proc": config(bind(DATA, "/proc", "rbind"), without=["/proc"]),
    "no such source": config(bind("/srv/nothing", VOL, "rbind")),
    "a link to the source": config(bind("/srv/link", VOL, "rbind")),
    "a link on the way": config(bind(DATA, "/var/run/volume", "rbind")),
    # Options.
    "read-only, all of it": config(bind(DATA, VOL, "rbind,rro,rnosuid")),
    "read-only, all of one": config(bind(DATA, VOL, "bind,rro")),
    "read-only, and then not": config(bind(DATA, VOL, "rbind,ro,rw")),
    "a source with flags": config(bind("/srv/flags", VOL, "rbind")),
    "a source with flags, and one more": config(bind("/srv/flags", VOL, "rbind,noexec")),
    "a source with flags, read-only": config(bind("/srv/flags", VOL, "rbind,ro")),
    "a read-only source": config(bind("/srv/readonly", VOL, "rbind,nosuid")),
    "a read-only source, writable": config(bind("/srv/readonly", VOL, "rbind,rw")),
    "a tmpfs": config(mount("/tmp", "tmpfs", "nosuid,nodev,noexec,size=1m,mode=1777")),
    "a read-only tmpfs": config(mount("/tmp", "tmpfs", "ro,nosuid,size=1m")),
    "a tmpfs without atime": config(mount("/tmp", "tmpfs", "noatime,nodiratime")),
    "a tmpfs with strict atime": config(mount("/tmp", "tmpfs", "strictatime,nosuid")),
    "a shared tmpfs": config(mount("/tmp", "tmpfs", "rshared")),
    "a tmpfs with what was there": config(mount("/etc", "tmpfs", "tmpcopyup")),
    "read-only paths": config(masked=[], read_only=["/proc/sys", "/sys/kernel", "/etc", "/nothing"]),
    "masked directories": config(masked=["/sys/firmware", "/proc/acpi", "/etc", "/proc/timer_list"]),
    # Users.
    "users": config(user=True),
    "users and a slave": config(bind(DATA, VOL, "rbind,rslave"), root="rslave", user=True),
    "users and a peer": config(SHARED, root="rshared", user=True),
    "users and a source with flags": config(bind("/srv/flags", VOL, "rbind,ro"), user=True),
    "users, mapped": config(bind(DATA, VOL, "bind,rprivate", **IDS), user=True),
    "mapped": config(bind(DATA, VOL, "bind", **IDS)),
    "mapped, and one in it": config(bind(DATA, VOL, "bind", **IDS), bind(PRIVATE, f"{VOL}/sub", "rbind,rprivate")),
    "mapped, a slave": config(bind(DATA, VOL, "rbind,rslave", **IDS)),
    "mapped, read-only": config(bind(DATA, VOL, "bind,ro,nosuid", **IDS)),
    "mapped, all of it": config(bind(DATA, VOL, "rbind,ridmap", **IDS)),
}

FEW = (
    "nothing but the usual",
    "a slave",
    "a peer",
    "the host, shared",
    "one source in three ways",
    "a bind in a peer",
    "a file of proc",
    "no such source",
    "read-only, all of it",
    "users and a source with flags",
    "mapped, and one in it",
)
"""Those that the tests try: about one of each kind."""

"""What a unit of systemd is to have mounted: the entries of setup_namespace(), in the order in which it takes them.

Read in systemd 252 (src/core/namespace.c, src/core/execute.c), and compared with what its units had.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from mntscope.analysis.preview.config import Config, ConfigMount
from mntscope.analysis.preview.files import Files
from mntscope.analysis.preview.manager import Host, Prepared
from mntscope.base.counting import counted
from mntscope.base.paths import below, normal, under
from mntscope.parse.manifests.containers import PROPAGATIONS, ContainerSpec, MountSpec, Setting, Word

UNIT_ROOT = "/run/systemd/unit-root"
"""Where the new root is made, unless RootDirectory= names it."""

INCOMING = "/run/systemd/incoming"
INACCESSIBLE = "/run/systemd/inaccessible"

MOST = 250
"""Paths that are played of a list. Units have a few."""

_NO = ("", "0", "no", "n", "false", "f", "off")

_MODES = (
    *("root", "inaccessible", "bind", "private-dev", "proc", "read-only", "read-write", "noexec", "exec", "tmpfs"),
    "mqueue",
)
"""What an entry does (the mode of a MountEntry): of two at one path the first counts."""

_HOMES = ("/home", "/root", "/run/user")
_SYSTEM = ("/usr", "/boot", "/efi")
_BESIDE_STRICT = ("/proc", "/sys", "/dev", *_HOMES)

_DIRECTORIES = {
    "RuntimeDirectory": "/run",
    "StateDirectory": "/var/lib",
    "CacheDirectory": "/var/cache",
    "LogsDirectory": "/var/log",
}
"""Where directories are made for a unit, which it has as mounts if it has a mount namespace."""

_LISTS = {
    "inaccessible": ("InaccessiblePaths", "InaccessibleDirectories"),
    "read-only": ("ReadOnlyPaths", "ReadOnlyDirectories"),
    "read-write": ("ReadWritePaths", "ReadWriteDirectories"),
    "noexec": ("NoExecPaths",),
    "exec": ("ExecPaths",),
}
"""What an entry does, and the settings that list paths for it."""

DEVICES = ("/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/hugepages")  # noqa: S108 - what is mounted there
"""What a unit's own /dev has of the host's."""

_PLAYED = frozenset(
    {
        *("ExecPaths", "NoExecPaths", "NoNewPrivileges", "PrivateDevices", "PrivateIPC", "ProtectControlGroups"),
        *("ProtectKernelLogs", *_DIRECTORIES),
        *("InaccessibleDirectories", "InaccessiblePaths", "MountAPIVFS", "MountFlags", "PrivateMounts", "PrivateTmp"),
        *("ProtectHome", "ProtectSystem", "ReadOnlyDirectories", "ReadOnlyPaths", "ReadWriteDirectories"),
        *("ReadWritePaths", "RootDirectory", "DynamicUser", "PrivateUsers"),
    }
)
"""Settings of which all that they mount is played."""

_SILENT = frozenset(
    {
        *("ConfigurationDirectory", "ImportCredential", "LoadCredential", "LoadCredentialEncrypted"),
        *("RootDirectoryStartOnly", "RuntimeDirectoryPreserve", "SetCredential", "DelegateNamespaces"),
        *("MountImagePolicy", "ExtensionImagePolicy", "RootImagePolicy"),
        *("RootEphemeral", "RootHash", "RootImageOptions", "RootVerity", "UserNamespacePath", "PrivatePIDs"),
        *("NetworkNamespacePath", "ProtectClock"),
    }
)
"""Settings that mount nothing by themselves."""

_ALONE = frozenset({"ProtectHostname", "PrivateNetwork"})
"""Settings for which alone no mount namespace is made."""


class Unit:
    """The settings of a unit."""

    def __init__(self, settings: Sequence[Setting]) -> None:
        self._last: Mapping[str, Setting] = {setting.name: setting for setting in settings}
        self.settings = settings

    def get(self, name: str) -> Setting | None:
        """The assignment that counts."""
        return self._last.get(name)

    def word(self, name: str) -> str:
        """Its value, in small letters; of yes and no the one word for each."""
        setting = self.get(name)
        value = setting.value.strip().lower() if setting is not None else ""
        return "no" if value in _NO else "yes" if value in ("1", "y", "true", "t", "on") else value

    def words(self, *names: str) -> Iterator[Word]:
        """What lists name, the first :data:`MOST`."""
        return islice(self._words(names), MOST)

    def is_cut(self, *names: str) -> bool:
        """Whether they name more."""
        return any(True for _ in islice(self._words(names), MOST, None))

    def _words(self, names: Sequence[str]) -> Iterator[Word]:
        return (word for setting in self.settings if setting.name in names for word in setting.words)

    def others(self) -> list[str]:
        """The settings that are not played, and mount something all the same."""
        names = dict.fromkeys(setting.name for setting in self.settings)
        return [name for name in names if name not in _PLAYED | _SILENT and self.word(name) not in ("no", "default")]

    def needs_namespace(self, mounts: Sequence[MountSpec]) -> bool:
        """exec_needs_mount_namespace(): MountFlags=shared alone makes none."""
        flags = self.word("MountFlags")
        if mounts or flags not in ("no", "shared", "rshared"):
            return True
        played = _PLAYED - {"MountFlags", "PrivateUsers", "MountAPIVFS", "NoNewPrivileges", *_DIRECTORIES}
        return any(self.word(name) != "no" for name in self._last if name in played) or bool({*self.others()} - _ALONE)


def unit(spec: ContainerSpec, label: str, host: Host) -> Prepared:
    """What is to be mounted for a unit, in the order in which it is, and what is not known."""
    settings = Unit(spec.settings)
    if not settings.needs_namespace(spec.mounts):
        return Prepared(Config(spec=spec, label=label, rootfs="/", mounts=()))
    word = settings.word("MountFlags")
    flags = PROPAGATIONS.get(word, "rshared")
    setting = settings.get("MountFlags")
    root = None
    if setting is not None and word != "no":
        root = MountSpec("/", setting.where, source="/", options=("rbind", flags), propagation_where=setting.where)
    rootfs = spec.rootfs
    mounts = [ConfigMount("/", "root", rootfs or "/", by="systemd", spec=root)]
    assumed: list[str] = []
    mounts += _sorted(_entries(spec, settings, label), host.files, assumed, look=rootfs is None)
    config = Config(
        spec=spec,
        label=label,
        rootfs=normal(rootfs) if rootfs else UNIT_ROOT,
        mounts=tuple(mounts),
        rootfs_propagation=flags,
        own=frozenset({"mount"}),
    )
    return Prepared(config, doubts=tuple(_doubts(settings, label, assumed)))


def paths(spec: ContainerSpec) -> Iterator[str]:
    """Paths of the host of which it matters whether they are there."""
    yield from ("/run/credentials", *_HOMES, *_SYSTEM, "/etc", "/tmp", "/var/tmp")  # noqa: S108 - what is there
    yield from ("/sys/fs/cgroup", "/proc/kmsg", "/dev/kmsg")
    yield from (entry.destination for entry in _listed(Unit(spec.settings)))


def _doubts(unit: Unit, label: str, assumed: Sequence[str]) -> Iterator[str]:
    yield "it is played as systemd 252 does it; other versions mount a little more or less for the unit alone"
    if _private_tmp(unit):
        yield f"the directories that {label} has as /tmp and /var/tmp bear numbers"
    if assumed:
        yield f"on the host there are taken to be {', '.join(assumed)}"
    if unit.word("DynamicUser") != "no" and any(unit.get(name) is not None for name in _DIRECTORIES):
        yield f"what of the directories made for {label} is mounted is not played"
    if any(unit.is_cut(*names) for names in (*_LISTS.values(), *((name,) for name in _DIRECTORIES))):
        yield f"of a list that {label} has, the first {MOST} paths are played"
    if others := unit.others():
        named = ", ".join(others[:6]) + (f" and {counted(len(others) - 6, 'more setting')}" if others[6:] else "")
        yield f"what {named} of {label} mount is not played: it is for the unit alone, and reaches no other namespace"


def _private_tmp(unit: Unit) -> bool:
    return unit.word("PrivateTmp" if unit.get("PrivateTmp") is not None else "DynamicUser") != "no"


def _entries(spec: ContainerSpec, unit: Unit, label: str) -> Iterator[ConfigMount]:
    """Every MountEntry, unsorted. *created*: it is left out where nothing is there."""
    for mount in spec.mounts:
        yield _asked(mount)
    yield from _listed(unit)
    dynamic = unit.word("DynamicUser") != "no"
    yield from _homes(unit.word("ProtectHome") if unit.get("ProtectHome") else "read-only" if dynamic else "no")
    yield from _system(unit.word("ProtectSystem") if unit.get("ProtectSystem") else "strict" if dynamic else "no")
    if _private_tmp(unit):
        for path in ("/tmp", "/var/tmp"):  # noqa: S108 - the unit's
            source = below(path, f"/systemd-private-{label}{path[-4:]}")
            yield ConfigMount(path, "bind", source, ("rbind",), "systemd", created=True)
    yield from _own_devices(unit)
    for name, folder in _DIRECTORIES.items():
        for word in unit.words(name) if not dynamic else ():
            path = normal(below(folder, f"/{word.text.partition(':')[0]}"))
            yield ConfigMount(path, "bind", path, ("rbind",), "systemd")
    if spec.rootfs is None:
        yield ConfigMount("/run/credentials", "inaccessible", "", by="systemd", created=True)
    elif unit.get("MountAPIVFS") is None or unit.word("MountAPIVFS") != "no":
        yield ConfigMount("/dev", "bind", "/dev", ("rbind",), "systemd")
        yield ConfigMount("/sys", "bind", "/sys", ("rbind", "noexec"), "systemd")
        yield ConfigMount("/proc", "proc", "proc", ("nosuid", "nodev", "noexec", "relatime"), "systemd")
        yield ConfigMount("/run", "tmpfs", "tmpfs", ("relatime",), "systemd")
    yield ConfigMount(INCOMING, "bind", f"/run/systemd/propagate/{spec.name}", ("bind", "ro"), "systemd")


def _listed(unit: Unit) -> Iterator[ConfigMount]:
    """The paths that the unit's own lists name."""
    for mode, names in _LISTS.items():
        for word in unit.words(*names):
            given = word.text.lstrip("-+")
            path, optional = normal(given), "-" in word.text.removesuffix(given)
            yield ConfigMount(path, mode, by="the file", source="", spec=MountSpec(path, word.where), created=optional)


def _own_devices(unit: Unit) -> Iterator[ConfigMount]:
    """What a unit has instead of the host's devices, or is not to reach."""
    if unit.word("PrivateDevices") != "no":
        yield ConfigMount("/dev", "private-dev", "tmpfs", ("nosuid", "noexec", "ro"), "systemd")
    if unit.word("PrivateIPC") != "no":
        options = ("nosuid", "nodev", "noexec", "relatime")
        yield ConfigMount("/dev/mqueue", "mqueue", "mqueue", options, "systemd")
    if unit.word("ProtectControlGroups") != "no":
        yield ConfigMount("/sys/fs/cgroup", "read-only", "", by="systemd", created=True)
    if unit.word("ProtectKernelLogs") != "no":
        for path in ("/proc/kmsg", "/dev/kmsg"):
            yield ConfigMount(path, "inaccessible", "", by="systemd", created=True)


def _asked(mount: MountSpec) -> ConfigMount:
    destination = normal(mount.destination)
    if mount.kind == "filesystem":
        return ConfigMount(destination, "tmpfs", "tmpfs", _tmpfs_options(mount.options), "the file", mount)
    whole = "bind" if "norbind" in mount.options else "rbind"
    words = (whole, "ro") if mount.read_only else (whole,)
    return ConfigMount(destination, "bind", mount.source or "", words, "the file", mount)


def _tmpfs_options(words: Sequence[str]) -> tuple[str, ...]:
    """``nodev,strictatime``, unless something else is asked for."""
    kept = {"nodev", *words} & {"ro", "nodev", "nosuid", "noexec", "noatime", "relatime", "nodiratime"}
    kept -= {"nodev"} if "dev" in words else set()
    return tuple(sorted(kept))


def _homes(word: str) -> Iterator[ConfigMount]:
    mode = {"yes": "inaccessible", "read-only": "read-only", "tmpfs": "tmpfs"}.get(word)
    if mode is None:
        return
    for path in _HOMES:
        yield ConfigMount(path, mode, "tmpfs", ("relatime",) if mode == "tmpfs" else (), "systemd", created=True)


def _system(word: str) -> Iterator[ConfigMount]:
    read_only = {"yes": _SYSTEM, "full": (*_SYSTEM, "/etc"), "strict": ("/",)}.get(word, ())
    for path in read_only:
        yield ConfigMount(path, "read-only", "", by="systemd", created=True)
    for path in _BESIDE_STRICT if word == "strict" else ():
        yield ConfigMount(path, "read-write", "", by="systemd", created=True)


def _sorted(entries: Iterator[ConfigMount], files: Files, assumed: list[str], *, look: bool) -> list[ConfigMount]:
    """normalize_mounts(): outer paths first, each once, nothing below what is inaccessible, or is so anyway.

    *look*: the paths are the host's, so that *files* knows of them: what is missing is left out, and what nobody knows
    of joins *assumed*.
    """
    kept: list[ConfigMount] = []
    around: list[ConfigMount] = []
    first: dict[str, ConfigMount] = {}
    for entry in sorted(entries, key=lambda entry: (entry.destination.split("/"), _MODES.index(entry.type))):
        first.setdefault(entry.destination, entry)
    for entry in first.values():
        while around and not under(entry.destination, around[-1].destination):
            around.pop()
        outer = around[-1] if around else None
        same = outer is not None and outer.type == entry.type and entry.type in ("read-only", "read-write")
        if same or (outer is not None and outer.type == "inaccessible"):
            continue
        if entry.created and look:
            kind = files.kind(entry.destination)
            if kind == "missing":
                continue
            if kind is None and entry.destination not in ("/", "/proc", "/sys", "/dev"):
                assumed.append(entry.destination)
        kept.append(entry)
        around.append(entry)
    return kept

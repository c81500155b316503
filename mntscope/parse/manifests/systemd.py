"""Units of systemd: what they change of the mounts that their processes see. systemd.exec(5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mntscope.base.records import dataclass
from mntscope.parse.manifests.containers import ContainerSpec, MountSpec, Setting, UserNamespace, Where, Word
from mntscope.parse.manifests.reading import Reading, shown
from mntscope.parse.manifests.specifiers import expand
from mntscope.parse.manifests.units import Assignment, kept, words
from mntscope.parse.manifests.volumes import Given

SECTIONS = ("Service", "Socket", "Mount", "Swap")
"""Those with an execution environment: each runs processes."""

_SETTINGS_WORDS = """
    BindLogSockets CacheDirectory ConfigurationDirectory DelegateNamespaces DynamicUser ExecPaths
    ExtensionDirectories ExtensionImagePolicy ExtensionImages IPCNamespacePath ImportCredential
    InaccessibleDirectories InaccessiblePaths JoinsNamespaceOf LoadCredential LoadCredentialEncrypted LogNamespace
    LogsDirectory MountAPIVFS MountFlags MountImagePolicy MountImages NetworkNamespacePath NoExecPaths NoNewPrivileges
    PrivateBPF
    PrivateDevices PrivateIPC PrivateMounts PrivateNetwork PrivatePIDs PrivateTmp PrivateUsers ProcSubset
    ProtectClock ProtectControlGroups ProtectHome ProtectHostname ProtectKernelLogs ProtectKernelModules
    ProtectKernelTunables ProtectProc ProtectSystem ReadOnlyDirectories ReadOnlyPaths ReadWriteDirectories
    ReadWritePaths RootDirectory RootDirectoryStartOnly RootEphemeral RootHash RootImage RootImageOptions
    RootImagePolicy RootMStack RootVerity RuntimeDirectory RuntimeDirectoryPreserve SetCredential
    SetCredentialEncrypted StateDirectory UserNamespacePath
"""
SETTINGS = frozenset(_SETTINGS_WORDS.split())
"""Those that change what is mounted, or whether there is a mount namespace of the unit's own."""

_PATHS = frozenset(
    {
        *("ExecPaths", "InaccessibleDirectories", "InaccessiblePaths", "NoExecPaths", "ReadOnlyDirectories"),
        *("ReadOnlyPaths", "ReadWriteDirectories", "ReadWritePaths"),
    }
)
"""Lists of paths, each with ``-`` before it if it may be missing, and with ``+`` if it is below RootDirectory."""

_DIRECTORIES = frozenset({"CacheDirectory", "LogsDirectory", "RuntimeDirectory", "StateDirectory"})
"""Lists of directories to be made, each with ``:SYMLINK`` behind it or not."""

_TRUE = ("1", "yes", "y", "true", "t", "on")
_FALSE = ("", "0", "no", "n", "false", "f", "off")


def read_unit(entries: Sequence[Assignment], unit: str, reading: Reading) -> Iterator[ContainerSpec]:
    """The unit, once for each of its sections with processes."""
    for section in SECTIONS:
        found = [entry for entry in entries if entry.section == section]
        joins = [entry for entry in entries if entry.section == "Unit" and entry.name == "JoinsNamespaceOf"]
        if found and reading.room_for_container(found[0].where):
            yield _Unit(reading, unit).read([*joins, *found])


@dataclass(frozen=True, slots=True)
class _Unit:
    """One section, while it is read."""

    reading: Reading
    unit: str

    def read(self, entries: Sequence[Assignment]) -> ContainerSpec:
        """What its assignments come to."""
        entries = kept(entries) or entries[-1:]
        last = {entry.name: entry for entry in entries}
        root, users = last.get("RootDirectory"), last.get("PrivateUsers")
        return ContainerSpec(
            self.unit,
            "systemd",
            entries[0].where,
            mounts=tuple(self._mounts(entries)),
            rootfs=None if root is None else self._path(root.value, root.where),
            user_namespace=None if users is None or users.value.lower() in _FALSE else UserNamespace(where=users.where),
            sys_admin=self._has_sys_admin(entries),
            settings=tuple(
                Setting(entry.name, entry.value, entry.where, tuple(self._words(entry)))
                for entry in entries
                if entry.name in SETTINGS and entry.value
            ),
        )

    def _words(self, entry: Assignment) -> Iterator[Word]:
        """The paths, or the directories, that a list names; none of what is no list."""
        if entry.name not in _PATHS and entry.name not in _DIRECTORIES:
            return
        for word in words(entry.given, self.reading):
            if self._is_listed(word, entry.name):
                text = self._path(word.text, word.where)
                if text is not None:
                    yield Word(text, word.where)

    def _is_listed(self, word: Given, name: str) -> bool:
        if name in _PATHS:
            return self._is_absolute(word.text.lstrip("-+"), word)
        path = word.text.partition(":")[0]
        if path.startswith("/") or ".." in path.split("/"):
            self.reading.error(f"{shown(path)}: a directory of {name} is a path below its own, without ..", word.where)
            return False
        return self.reading.is_path(path, word.where)

    def _has_sys_admin(self, entries: Sequence[Assignment]) -> bool:
        """As far as the unit says it: root has it, unless CapabilityBoundingSet takes it away."""
        is_root, bounded, seen = True, False, False
        for entry in entries:
            if entry.name == "User":
                is_root = entry.value in ("root", "0")
            elif entry.name == "DynamicUser":
                is_root = is_root and entry.value.lower() not in _TRUE
            elif entry.name == "CapabilityBoundingSet":
                named = "CAP_SYS_ADMIN" in entry.value.upper()
                inverted = entry.value.startswith("~")
                # The first that is not inverted begins with nothing, and further ones are joined with it.
                bounded = (bounded or named) if inverted else (not named if not seen else bounded and not named)
                seen = True
        return is_root and not bounded

    def _mounts(self, entries: Sequence[Assignment]) -> Iterator[MountSpec]:
        for entry in entries:
            if entry.name not in ("BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem"):
                continue
            for word in words(entry.given, self.reading):
                if not self.reading.room_for_mount(word.where):
                    return
                mount = self._tmpfs(word) if entry.name == "TemporaryFileSystem" else self._bind(word, entry.name)
                if mount is not None:
                    yield mount

    def _bind(self, word: Given, name: str) -> MountSpec | None:
        """``[-]SOURCE[:DESTINATION[:rbind|norbind]]``."""
        parts = word.text.split(":")
        optional = parts[0].startswith("-")
        source = parts[0].removeprefix("-")
        destination = parts[1] if len(parts) > 1 and parts[1] else source
        option = parts[2] if len(parts) > 2 else "rbind"
        if len(parts) > 3 or option not in ("rbind", "norbind"):
            what = f"{shown(word.text)}: it is SOURCE[:DESTINATION[:rbind or norbind]]"
            self.reading.error(what, word.where)
            return None
        if not (self._is_absolute(source, word) and self._is_absolute(destination, word)):
            return None
        return MountSpec(
            self._path(destination, word.where) or destination,
            word.where,
            source=self._path(source, word.where),
            options=(option,),
            source_where=word.where,
            read_only=name == "BindReadOnlyPaths",
            source_type="optional" if optional else "",
        )

    def _tmpfs(self, word: Given) -> MountSpec | None:
        """``DESTINATION[:OPTIONS]``."""
        destination, _, rest = word.text.partition(":")
        if not self._is_absolute(destination, word):
            return None
        options = tuple(option for option in rest.split(",") if option)
        return MountSpec(
            self._path(destination, word.where) or destination,
            word.where,
            kind="filesystem",
            source="tmpfs",
            fs_type="tmpfs",
            options=options,
            read_only="ro" in options,
        )

    def _is_absolute(self, path: str, word: Given) -> bool:
        if not path.startswith(("/", "%")):
            self.reading.error(f"{shown(path)}: a path of a unit begins with /", word.where)
            return False
        return self.reading.is_path(path, word.where)

    def _path(self, path: str, where: Where) -> str | None:
        """*path* without its specifiers; ``None`` if only the machine knows what they are."""
        expanded = expand(path, self.unit)
        if expanded.unknown:
            self.reading.uncertain(f"{shown(path)} depends on what {', '.join(expanded.unknown[:4])} is", where)
            return None
        return expanded.text

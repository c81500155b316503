"""What the options of ``docker run`` and ``podman run`` come to; Quadlet's ``PodmanArgs`` are such options, too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from mntscope.base.records import replace
from mntscope.parse.manifests.containers import ContainerSpec, IdMapping, Kind, MountSpec, UserNamespace, Where
from mntscope.parse.manifests.reading import Reading, shown
from mntscope.parse.manifests.run_options import Said
from mntscope.parse.manifests.volumes import Given, id_mapping, long_mount, short_volume, tmpfs

NAMESPACES = {"pid": "pid", "network": "network", "ipc": "ipc", "uts": "uts", "cgroupns": "cgroup", "userns": "user"}
"""The options that say whose namespace it is, and which."""

_CAPABILITIES = ("SYS_ADMIN", "CAP_SYS_ADMIN", "ALL")
_READERS = {"volume": short_volume, "mount": long_mount, "tmpfs": tmpfs}


class RunFacts:
    """The options of one command."""

    def __init__(self, options: Sequence[Said], reading: Reading, earlier: Mapping[str, ContainerSpec]) -> None:
        self.options = options
        self.reading = reading
        self.earlier = earlier
        """Containers of the same text, whose volumes this one may take."""

    def container(self, kind: Kind, where: Where) -> ContainerSpec:
        """All that they say of the container; its name only if they give it one."""
        unmasked = self._unmasked()
        privileged = self._flag("privileged")
        added = {value.text.upper() for value in self._values("cap-add")}
        return ContainerSpec(
            self._last("name"),
            kind,
            where,
            group=self._last("pod"),
            mounts=tuple(self._mounts(kind)),
            readonly_root=self._flag("read-only"),
            writable=self._writable(kind),
            privileged=privileged,
            sys_admin=privileged or not added.isdisjoint(_CAPABILITIES),
            host_namespaces=frozenset(namespace for namespace, value in self._namespaces() if value.text == "host"),
            joined_namespaces=tuple(
                (namespace, value.text)
                for namespace, value in self._namespaces()
                if value.text.startswith(("container:", "ns:"))
            ),
            no_network=self._last("network") == "none",
            user_namespace=self._user_namespace(),
            terminal=self._flag("tty"),
            devices=tuple(self._devices()),
            masked_paths=() if unmasked else None,
            readonly_paths=() if unmasked else None,
        )

    def _values(self, name: str) -> list[Given]:
        return [option.value for option in self.options if option.name == name]

    def _last(self, name: str) -> str:
        values = self._values(name)
        return values[-1].text if values else ""

    def _flag(self, name: str, *, default: bool = False) -> bool:
        said = [option for option in self.options if option.name == name]
        return said[-1].is_true if said else default

    def _writable(self, kind: Kind) -> tuple[str, ...]:
        """podman's ``--read-only-tmpfs``, which is on unless it is switched off."""
        podman = kind in ("podman-run", "quadlet") and self._flag("read-only")
        asked = podman and self._flag("read-only-tmpfs", default=True)
        return ("/run", "/tmp", "/var/tmp") if asked else ()  # noqa: S108 - a container's

    def _mounts(self, kind: Kind) -> Iterator[MountSpec]:
        for name, value in self.options:
            if name == "volumes-from":
                yield from self._mounts_of(value)
            elif name == "gpus":
                self.reading.uncertain("what --gpus mounts, the hook of the GPU's vendor says", value.where)
            elif name == "secret" and (secret := self._secret(value)) is not None:
                yield secret
            elif name in _READERS and self.reading.room_for_mount(value.where):
                mount = _READERS[name](value, self.reading)
                if mount is not None:
                    # What -v names is made, where it is missing; podman does not, and --mount does not.
                    made = name == "volume" and kind == "docker-run"
                    yield replace(mount, source_type="create_host_path") if made else mount

    def _mounts_of(self, value: Given) -> Iterator[MountSpec]:
        """What ``--volumes-from`` brings."""
        name, _, mode = value.text.partition(":")
        other = self.earlier.get(name)
        if other is None:
            self.reading.uncertain(f"the volumes of {shown(name)} are not in this text", value.where)
            return
        for mount in other.mounts:
            if mount.kind in ("bind", "volume") and self.reading.room_for_mount(value.where):
                yield replace(mount, where=value.where, read_only=mount.read_only or "ro" in mode.split(","))

    def _secret(self, value: Given) -> MountSpec | None:
        """The file that podman mounts of a secret, unless that becomes a variable."""
        name, *rest = value.text.split(",")
        said = {key: text for key, _, text in (part.partition("=") for part in rest)}
        if said.get("type", "mount") != "mount":
            return None
        target = said.get("target") or name
        destination = target if target.startswith("/") else f"/run/secrets/{target}"
        if not self.reading.is_path(destination, value.where):
            return None
        return MountSpec(destination, value.where, kind="files", volume=name)

    def _namespaces(self) -> Iterator[tuple[str, Given]]:
        for option, namespace in NAMESPACES.items():
            for value in self._values(option)[-1:]:
                yield namespace, value

    def _user_namespace(self) -> UserNamespace | None:
        uids, gids = self._values("uidmap"), self._values("gidmap")
        if uids or gids:
            return UserNamespace(
                self._mappings(uids), self._mappings(gids) or self._mappings(uids), (uids or gids)[0].where
            )
        for value in self._values("userns")[-1:]:
            if re.match(r"(?:auto|keep-id|nomap|private)(?::|\Z)", value.text):
                return UserNamespace(where=value.where)
        return None

    def _mappings(self, values: Sequence[Given]) -> tuple[IdMapping, ...]:
        found = (id_mapping(value, self.reading) for value in values)
        return tuple(mapping for mapping in found if mapping is not None)

    def _devices(self) -> Iterator[str]:
        for value in self._values("device"):
            parts = value.text.split(":")
            path = parts[1] if len(parts) > 1 and parts[1].startswith("/") else parts[0]
            if path.startswith("/") and self.reading.is_path(path, value.where):
                yield path

    def _unmasked(self) -> bool:
        """Whether no path is masked, or read-only."""
        found = False
        for value in self._values("security-opt"):
            name, _, rest = value.text.replace(":", "=", 1).partition("=")
            if (name, rest.lower()) in (("systempaths", "unconfined"), ("unmask", "all")):
                found = True
            elif name in ("mask", "unmask"):
                self.reading.left_out(
                    f"{shown(value.text)}: the masked paths are taken to be podman's own", value.where
                )
        return found

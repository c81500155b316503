"""Compose files: the services of a project.

The compose specification (05-services.md, 07-volumes.md): both syntaxes of volumes, extends within the file, variables
with their defaults.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mntscope.base.records import replace
from mntscope.parse.manifests.containers import PROPAGATIONS, ContainerSpec, MountKind, MountSpec
from mntscope.parse.manifests.interpolation import interpolate
from mntscope.parse.manifests.nodes import Node
from mntscope.parse.manifests.reading import MOST_MOUNTS, Reading, shown
from mntscope.parse.manifests.volumes import Given, bind_source, short_volume, tmpfs

DEEPEST = 16
"""Services that extend, or take volumes of, one another."""

_NAMESPACES = {
    "pid": "pid", "network_mode": "network", "ipc": "ipc", "uts": "uts", "cgroup": "cgroup", "userns_mode": "user"
}  # fmt: skip
_TYPES: dict[str, MountKind] = {
    "bind": "bind",
    "volume": "volume",
    "image": "image",
    "tmpfs": "filesystem",
    "cluster": "claim",
}
_CAPABILITIES = ("SYS_ADMIN", "CAP_SYS_ADMIN", "ALL")
_APPENDED = ("volumes", "tmpfs", "cap_add", "devices", "security_opt", "configs", "secrets", "volumes_from")
"""Lists of a service to which one that extends it adds."""
_OTHERS = ("read_only", "privileged", "tty")
"""What else of a service is read."""


def is_compose(document: Node) -> bool:
    """Whether a document is a compose file: it has services."""
    services = document.get("services")
    return services is not None and isinstance(services.value, Mapping) and document.text("kind") is None


class ComposeReader:
    """Reads one file."""

    def __init__(self, reading: Reading, document: Node) -> None:
        self.reading = reading
        self.document = document
        self.services = reading.mapping(document, "services")
        self.volumes = reading.mapping(document, "volumes")
        self._merged: dict[str, Node] = {}
        self._copied = 0
        """How many items services have from those that they extend."""

    def read(self) -> Iterator[ContainerSpec]:
        """The containers of all services, in order."""
        included = self.document.get("include")
        if included is not None:
            self.reading.left_out("include: other files: give what docker compose config prints", included.where)
        project = self.reading.text(self.document, "name")
        for name, service in self.services.items():
            if service.value is None or not self.reading.room_for_container(service.key_where or service.where):
                continue
            whole = self._whole(name, ())
            if whole is not None:
                yield self._service(name, whole, f"compose {project}" if project else "compose")

    # ---- extends ----

    def _whole(self, name: str, chain: tuple[str, ...]) -> Node | None:
        """The service *name* with all that it extends."""
        service = self.services[name]
        if name in self._merged:
            return self._merged[name]
        if not isinstance(service.value, Mapping):
            self.reading.mapping(service)
            return None
        whole = service
        extended = service.get("extends")
        if extended is not None:
            base = self._base(extended, (*chain, name))
            if base is not None:
                whole = replace(service, value=self._extended(base.value, service))
        self._merged[name] = whole
        return whole

    def _base(self, extended: Node, chain: tuple[str, ...]) -> Node | None:
        reading, is_name = self.reading, isinstance(extended.value, str)
        if not is_name and reading.mapping(extended).get("file") is not None:
            reading.left_out(
                "extends a service of another file: give what docker compose config prints", extended.where
            )
            return None
        name = reading.text(extended) if is_name else reading.text(extended, "service")
        if name is None or name not in self.services:
            reading.error(f"no service is called {shown(name or '')}", extended.where)
            return None
        if name in chain or len(chain) > DEEPEST:
            reading.error(f"the service {shown(name)} extends itself, or more than {DEEPEST} others", extended.where)
            return None
        return self._whole(name, chain)

    def _extended(self, base: object, service: Node) -> Mapping[str, Node]:
        """The fields of a service over those of the one that it extends."""
        own = self.reading.mapping(service)
        if not isinstance(base, Mapping):
            return own
        merged: dict[str, Node] = {key: base[key] for key in (*_NAMESPACES, *_APPENDED, *_OTHERS) if key in base}
        merged |= {key: node for key, node in own.items() if node.value is not None and key != "extends"}
        for key in _APPENDED:
            before, after = (items.value if (items := of.get(key)) is not None else None for of in (base, own))
            if isinstance(before, tuple) and isinstance(after, tuple):
                self._copied += len(before)
                if self._copied > MOST_MOUNTS:
                    self.reading.error(f"more than {MOST_MOUNTS} fields from other services", service.where)
                    break
                merged[key] = replace(own[key], value=(*before, *after))
        return merged

    # ---- a service ----

    def _service(self, name: str, service: Node, group: str) -> ContainerSpec:
        namespaces = [(kind, self._word(service, key)) for key, kind in _NAMESPACES.items()]
        options = [word for word, _ in self._texts(service, "security_opt")]
        unmasked = any(option.replace(":", "=", 1) == "systempaths=unconfined" for option in options)
        privileged = self._flag(service, "privileged")
        added = {word.upper() for word, _ in self._texts(service, "cap_add")}
        return ContainerSpec(
            name,
            "compose",
            self.services[name].key_where or service.where,
            group=group,
            mounts=tuple({mount.destination: mount for mount in self._mounts(service, (name,))}.values()),
            readonly_root=self._flag(service, "read_only"),
            privileged=privileged,
            sys_admin=privileged or not added.isdisjoint(_CAPABILITIES),
            host_namespaces=frozenset(kind for kind, word in namespaces if word == "host"),
            joined_namespaces=tuple(
                (kind, word) for kind, word in namespaces if word.startswith(("service:", "container:"))
            ),
            no_network=("network", "none") in namespaces,
            terminal=self._flag(service, "tty"),
            devices=tuple(self._devices(service)),
            masked_paths=() if unmasked else None,
            readonly_paths=() if unmasked else None,
        )

    def _mounts(self, service: Node, chain: tuple[str, ...]) -> Iterator[MountSpec]:
        reading = self.reading
        for item in reading.each(service, "volumes"):
            if not reading.room_for_mount(item.where):
                return
            mount = self._volume(item)
            if mount is not None:
                yield self._with_device(mount)
        for item in self._one_or_more(service, "tmpfs"):
            mount = tmpfs(Given(self._known(item), item.where), reading) if reading.room_for_mount(item.where) else None
            if mount is not None:
                yield mount
        for key, directory in (("secrets", "/run/secrets/"), ("configs", "/")):
            yield from self._files(service, key, directory)
        for word, item in self._texts(service, "volumes_from"):
            yield from self._of_others(word, item, chain)

    def _volume(self, item: Node) -> MountSpec | None:
        reading = self.reading
        if isinstance(item.value, str):
            short = short_volume(Given(self._known(item), item.where), reading)
            return None if short is None else replace(short, source_type="create_host_path")
        if not isinstance(item.value, Mapping):
            reading.text(item)
            return None
        kind_word = self._word(item, "type") or "volume"
        kind = _TYPES.get(kind_word)
        if kind is None:
            reading.error(f"a volume of the type {shown(kind_word)}, which is not known", item.where)
            return None
        destination, source = self._word(item, "target"), self._word(item, "source")
        if not destination:
            reading.error("a volume without a target", item.where)
            return None
        if not reading.is_path(destination, item.where) or (source and not reading.is_path(source, item.where)):
            return None
        propagation, said = self._word(item, "bind", "propagation") or None, item.get("bind", "propagation")
        if (
            propagation is not None
            and said is not None
            and (propagation not in PROPAGATIONS or propagation[0].isupper())
        ):
            reading.error(f"a propagation type {shown(propagation)}, which is not known", said.where)
            propagation = None
        at = item.get("source")
        recursive = self._word(item, "bind", "recursive")
        create = reading.flag(item, "bind", "create_host_path")
        return MountSpec(
            destination,
            item.where,
            kind=kind,
            source=bind_source(source, item.where, reading) if kind == "bind" and source else None,
            volume=source if kind in ("volume", "claim", "image") else "",
            fs_type="tmpfs" if kind == "filesystem" else "",
            options=tuple(self._options(item, recursive)),
            propagation=propagation,
            propagation_where=said.where if propagation is not None and said is not None else None,
            source_where=at.where if kind == "bind" and at is not None else None,
            read_only=self._flag(item, "read_only"),
            read_only_recursive=recursive == "readonly",
            sub_path=self._word(item, "volume", "subpath") or self._word(item, "image", "subpath"),
            source_type="exists" if create is False else "create_host_path",
        )

    def _options(self, item: Node, recursive: str) -> Iterator[str]:
        if recursive:
            yield f"bind-recursive={recursive}"
        for key in ("size", "mode"):
            node = item.get("tmpfs", key)
            if node is not None and isinstance(node.value, str | int):
                yield f"{key}={str(node.value)[:64]}"

    def _with_device(self, mount: MountSpec) -> MountSpec:
        """The mount of a named volume, with what that volume itself is a mount of."""
        volume = self.volumes.get(mount.volume) if mount.kind == "volume" and mount.volume else None
        if mount.kind == "volume" and mount.volume and volume is None and mount.volume not in self.volumes:
            self.reading.error(f"no volume is called {shown(mount.volume)}", mount.where)
        if volume is None or volume.value is None:
            return mount
        device = volume.get("driver_opts", "device")
        if device is None or not isinstance(device.value, str):
            return mount
        source = self._known(device)
        options = {word.strip() for word in self._word(volume, "driver_opts", "o").split(",")}
        if options.isdisjoint(("bind", "rbind")):
            return mount
        return replace(mount, source=bind_source(source, device.where, self.reading), source_where=device.where)

    def _files(self, service: Node, key: str, directory: str) -> Iterator[MountSpec]:
        for item in self.reading.each(service, key):
            is_name = isinstance(item.value, str)
            name = self._known(item) if is_name else self._word(item, "source")
            target = ("" if is_name else self._word(item, "target")) or name
            if not target:
                self.reading.error(f"one of {key} without a name", item.where)
                continue
            destination = target if target.startswith("/") else f"{directory}{target}"
            if self.reading.is_path(destination, item.where) and self.reading.room_for_mount(item.where):
                yield MountSpec(destination, item.where, kind="files", volume=name, read_only=True)

    def _of_others(self, word: str, item: Node, chain: tuple[str, ...]) -> Iterator[MountSpec]:
        """What ``volumes_from`` brings."""
        name, _, mode = word.partition(":")
        if name == "container" or name not in self.services:
            self.reading.uncertain(f"the volumes of {shown(word)} are not in this file", item.where)
            return
        if name in chain or len(chain) > DEEPEST:
            self.reading.error(f"{shown(name)} has its volumes from itself, or from more than {DEEPEST}", item.where)
            return
        other = self._whole(name, ())
        if other is None or not self.reading.room_for_mount(item.where):
            return
        for mount in self._mounts(other, (*chain, name)):
            if mount.kind in ("bind", "volume"):
                yield replace(mount, where=item.where, read_only=mount.read_only or mode == "ro")

    def _devices(self, service: Node) -> Iterator[str]:
        for item in self.reading.each(service, "devices"):
            is_short = isinstance(item.value, str)
            word = self._known(item) if is_short else self._word(item, "target") or self._word(item, "source")
            parts = word.split(":")
            path = parts[1] if is_short and len(parts) > 1 and parts[1].startswith("/") else parts[0]
            if path.startswith("/") and self.reading.is_path(path, item.where):
                yield path

    # ---- words with variables ----

    def _known(self, node: Node) -> str:
        """The text of a scalar with the defaults of its variables, of which there is a remark."""
        if not isinstance(node.value, str):
            return ""
        if "$" not in node.value:
            return node.value
        found = interpolate(node.value)
        if found.variables:
            names = ", ".join(shown(name, 40)[1:-1] for name in found.variables[:4])
            read = f"is read as {shown(found.text)}" if found.text != node.value else "is kept as it is"
            self.reading.uncertain(f"{shown(node.value)} {read}, unless {names} is set", node.where)
        return found.text

    def _word(self, node: Node, *keys: str) -> str:
        found = self.reading.text(node, *keys)
        below = node.get(*keys)
        return "" if found is None or below is None else self._known(below)

    def _texts(self, node: Node, key: str) -> Iterator[tuple[str, Node]]:
        for _, item in self.reading.texts(node, key):
            yield self._known(item), item

    def _flag(self, node: Node, key: str) -> bool:
        found = node.get(key)
        if found is not None and isinstance(found.value, str):
            # Compose understands the words that a variable's value may be.
            return self._known(found).lower() in ("true", "yes", "on", "1", "y")
        return bool(self.reading.flag(node, key))

    def _one_or_more(self, service: Node, key: str) -> Iterator[Node]:
        found = service.get(key)
        if found is not None and isinstance(found.value, str):
            yield found
        elif found is not None:
            yield from (item for _, item in self.reading.texts(service, key))

"""A bundle's config.json, of the OCI runtime specification (config.md, config-linux.md)."""

from __future__ import annotations

from collections.abc import Mapping

from mntscope.parse.manifests.containers import (
    PROPAGATIONS,
    ContainerSpec,
    IdMapping,
    MountSpec,
    UserNamespace,
    Where,
)
from mntscope.parse.manifests.nodes import Node
from mntscope.parse.manifests.reading import Reading

NAMESPACES = ("mount", "pid", "network", "ipc", "uts", "cgroup")
"""Those that a container has of the host unless its file names them."""


def is_config(document: Node) -> bool:
    """Whether it looks like one: ``ociVersion`` is required of it, and of nothing else that is read."""
    return isinstance(document.value, Mapping) and "ociVersion" in document.value


def read_config(document: Node, reading: Reading) -> ContainerSpec:
    """The container of a config.json."""
    linux = document.get("linux")
    named = {
        kind: reading.text(item, "path") or ""
        for item in reading.mappings(linux, "namespaces")
        if (kind := reading.text(item, "type")) is not None
    }
    capabilities = document.get("process", "capabilities")
    propagation = linux.get("rootfsPropagation") if linux is not None else None
    return ContainerSpec(
        name=_name(document, reading),
        kind="oci",
        where=document.where,
        mounts=tuple(_mounts(document, reading)),
        rootfs=reading.path(document, "root", "path"),
        rootfs_propagation=_propagation(propagation, reading),
        rootfs_propagation_where=propagation.where if propagation is not None else None,
        readonly_root=reading.flag(document, "root", "readonly") or False,
        sys_admin="CAP_SYS_ADMIN" in {text for text, _ in reading.texts(capabilities, "bounding")},
        host_namespaces=frozenset(NAMESPACES) - named.keys(),
        joined_namespaces=tuple((kind, path) for kind, path in named.items() if path),
        user_namespace=_user_namespace(linux, reading) if "user" in named else None,
        masked_paths=tuple(text for text, _ in reading.texts(linux, "maskedPaths")),
        readonly_paths=tuple(text for text, _ in reading.texts(linux, "readonlyPaths")),
        terminal=reading.flag(document, "process", "terminal") or False,
        devices=tuple(
            path for item in reading.mappings(linux, "devices") if (path := reading.path(item, "path")) is not None
        ),
    )


def _name(document: Node, reading: Reading) -> str:
    """The host name: the bundle itself bears none; else the directory it is in."""
    folder = reading.name.rpartition("/")[0].rpartition("/")[2]
    return folder or reading.text(document, "hostname") or "container"


def _propagation(node: Node | None, reading: Reading) -> str | None:
    if node is None:
        return None
    if isinstance(node.value, str) and node.value in PROPAGATIONS:
        return PROPAGATIONS[node.value]
    if node.value != "":
        reading.error(f"linux.rootfsPropagation is none of {', '.join(PROPAGATIONS)}", node.where)
    return None


def _user_namespace(linux: Node | None, reading: Reading) -> UserNamespace:
    where = linux.where if linux is not None else None
    uids, gids = (tuple(_mappings(linux, key, reading)) for key in ("uidMappings", "gidMappings"))
    return UserNamespace(uids, gids, where)


def _mappings(node: Node | None, key: str, reading: Reading) -> list[IdMapping]:
    found = []
    for item in reading.mappings(node, key):
        numbers = [item.number(name) for name in ("containerID", "hostID", "size")]
        if None in numbers:
            reading.error(f"{key} without containerID, hostID or size", item.where)
        else:
            inside, outside, size = (number or 0 for number in numbers)
            found.append(IdMapping(inside, outside, size))
    return found


def _mounts(document: Node, reading: Reading) -> list[MountSpec]:
    found = []
    for item in reading.mappings(document, "mounts"):
        destination = reading.path(item, "destination")
        if destination is None:
            reading.error("a mount without a destination", item.where)
            continue
        if not reading.room_for_mount(item.where):
            break
        found.append(_mount(item, destination, reading))
    return found


def _mount(item: Node, destination: str, reading: Reading) -> MountSpec:
    words = [*reading.texts(item, "options")]
    options = tuple(text for text, _ in words)
    bind = not {"bind", "rbind"}.isdisjoint(options)
    propagation: tuple[str, Where] | None = next(
        ((text, node.where) for text, node in reversed(words) if text in PROPAGATIONS), None
    )
    source = item.get("source")
    return MountSpec(
        destination=destination,
        where=item.where,
        kind="bind" if bind else "filesystem",
        source=reading.text(item, "source"),
        fs_type="" if bind else reading.text(item, "type") or "",
        options=options,
        propagation=propagation[0] if propagation else None,
        propagation_where=propagation[1] if propagation else None,
        source_where=source.where if source is not None else None,
        read_only="ro" in options,
        read_only_recursive="rro" in options,
        uids=tuple(_mappings(item, "uidMappings", reading)),
        gids=tuple(_mappings(item, "gidMappings", reading)),
    )

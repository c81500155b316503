"""Quadlet: units that podman starts containers of. podman-systemd.unit(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mntscope.base.records import replace
from mntscope.parse.manifests.containers import ContainerSpec
from mntscope.parse.manifests.reading import Reading, shown
from mntscope.parse.manifests.run_facts import RunFacts
from mntscope.parse.manifests.run_options import Said, read_options
from mntscope.parse.manifests.specifiers import expand
from mntscope.parse.manifests.units import Assignment, kept, words
from mntscope.parse.manifests.volumes import Given

SECTIONS = ("Container", "Pod", "Kube", "Volume", "Network", "Image", "Build", "Artifact")
"""Those of Quadlet's own."""

_OPTIONS = {
    "AddCapability": "cap-add",
    "AddDevice": "device",
    "ContainerName": "name",
    "GIDMap": "gidmap",
    "Mount": "mount",
    "Network": "network",
    "Pod": "pod",
    "PodName": "name",
    "ReadOnly": "read-only",
    "ReadOnlyTmpfs": "read-only-tmpfs",
    "Secret": "secret",
    "Tmpfs": "tmpfs",
    "UIDMap": "uidmap",
    "UserNS": "userns",
    "Volume": "volume",
}
"""Which option of podman run each stands for."""

_LISTS = ("AddCapability", "AddDevice")
"""Those whose value is several words."""


def read_quadlet(entries: Sequence[Assignment], unit: str, reading: Reading) -> Iterator[ContainerSpec]:
    """The container of a ``.container``; of a ``.pod`` the one that holds its namespaces; of the others none."""
    sections = {entry.section for entry in entries}
    section = next((name for name in SECTIONS if name in sections), "Container")
    found = [entry for entry in entries if entry.section == section]
    where = found[0].where
    if section == "Kube":
        files = [entry for entry in found if entry.name == "Yaml"]
        for entry in files:
            reading.left_out(f"the pods of {shown(entry.value)}: give that file", entry.where)
        return
    if section not in ("Container", "Pod"):
        reading.left_out(f"a unit with [{section}] starts no container", where)
        return
    if not reading.room_for_container(where):
        return
    options = _options(found, unit, reading)
    spec = RunFacts(options, reading, {}).container("quadlet", where)
    rootfs = next((entry for entry in reversed(found) if entry.name == "Rootfs" and entry.value), None)
    pod = spec.group
    if pod:
        at = next(option.value.where for option in options if option.name == "pod")
        reading.uncertain(f"what {shown(pod)} brings its containers stands in that file", at)
    if section == "Container" and rootfs is None and not any(entry.name == "Image" for entry in found):
        reading.error("a container without Image= or Rootfs=", where)
    yield replace(
        spec,
        name=spec.name or re.sub(r"\.(container|pod)\Z", "", unit),
        # podman's mark of an overlay is behind the colon.
        rootfs=None if rootfs is None else rootfs.value.partition(":")[0],
        mounts=tuple(replace(mount, volume=_volume(mount.volume)) for mount in spec.mounts),
    )


def _volume(name: str) -> str:
    """The volume that a ``.volume`` unit makes, by the name that it has if that unit does not say another."""
    return f"systemd-{name.removesuffix('.volume')}" if name.endswith(".volume") else name


def _options(entries: Sequence[Assignment], unit: str, reading: Reading) -> list[Said]:
    """The options of podman run that the assignments stand for."""
    return [option for entry in kept(entries) for option in _of_entry(entry, unit, reading)]


def _of_entry(entry: Assignment, unit: str, reading: Reading) -> Iterator[Said]:
    if entry.name == "PodmanArgs":
        options, rest = read_options(words(entry.given, reading), reading)
        yield from options
        if rest:
            reading.error(f"{shown(rest[0].text)}: PodmanArgs are options", rest[0].where)
        return
    if entry.name in ("Unmask", "Mask"):
        value = f"{entry.name.lower()}={entry.value}"
        yield Said("security-opt", Given(value, entry.where))
        return
    name = _OPTIONS.get(entry.name)
    if name is None:
        return
    for word in words(entry.given, reading) if entry.name in _LISTS else [entry.given]:
        expanded = expand(word.text, unit)
        # What is not known is as a variable: it is told where it matters.
        text = re.sub(r"%([A-Za-z])", r"${\1}", expanded.text) if expanded.unknown else expanded.text
        yield Said(name, word if text == word.text else Given(text, word.where))

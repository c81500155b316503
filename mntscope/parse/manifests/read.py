"""A file that starts containers, whichever language it is in: that is seen by what is in it, not by its name."""

from __future__ import annotations

import codecs
import re

from mntscope.parse.manifests.command_lines import is_command_line, read_command_lines
from mntscope.parse.manifests.compose import ComposeReader, is_compose
from mntscope.parse.manifests.containers import ContainerSpec, Manifest, Where
from mntscope.parse.manifests.kubernetes import KubernetesReader, is_kubernetes
from mntscope.parse.manifests.nodes import Node
from mntscope.parse.manifests.oci import is_config, read_config
from mntscope.parse.manifests.quadlet import SECTIONS as OF_QUADLET
from mntscope.parse.manifests.quadlet import read_quadlet
from mntscope.parse.manifests.reading import Reading
from mntscope.parse.manifests.systemd import SECTIONS as OF_SYSTEMD
from mntscope.parse.manifests.systemd import read_unit
from mntscope.parse.manifests.units import assignments, is_unit
from mntscope.parse.manifests.yaml_documents import LARGEST, documents

LARGEST_TEXT = 1 << 20
"""Bytes of a unit, or of a script with command lines."""


def read_manifest(data: bytes, name: str) -> Manifest:
    """The containers that *data* starts, and what of it could not be taken as it is written.

    *name* is the file's, for places; of a unit it is also the unit's. Nothing is raised, whatever is given: what is
    wrong is a remark, and what is beside it is read.
    """
    reading = Reading(name)
    containers = tuple(_read(data, reading))
    return Manifest(containers, tuple(reading.remarks))


def _read(data: bytes, reading: Reading) -> list[ContainerSpec]:
    begin = Where(reading.name, 1, 1)
    if len(data) > LARGEST:
        reading.error(f"{len(data)} bytes, and no manifest has more than {LARGEST >> 20} MiB; give it in parts", begin)
        return []
    data = _as_utf8(data)
    if not data.strip():
        reading.error("nothing is in it", begin)
        return []
    # What is not UTF-8 is told below, or by who reads YAML.
    text = data.decode("utf-8", "surrogateescape")
    if not is_unit(text) and not is_command_line(text):
        return _documents(data, reading)
    if len(data) > LARGEST_TEXT:
        what = f"{len(data)} bytes, and no unit or script has more than {LARGEST_TEXT >> 20} MiB"
        reading.error(f"{what}; give it in parts", begin)
        return []
    problem = re.search("[\0\udc80-\udcff]", text)
    if problem is not None:
        before = text[: problem.start()]
        what = "a NUL" if problem[0] == "\0" else f"no UTF-8: the byte 0x{ord(problem[0]) - 0xDC00:02x}"
        reading.error(what, Where(reading.name, before.count("\n") + 1, len(before) - before.rfind("\n")))
        return []
    return _unit(text, reading) if is_unit(text) else list(read_command_lines(text, reading))


def _as_utf8(data: bytes) -> bytes:
    """*data* without a mark of the byte order; what PowerShell writes into files is UTF-16."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding, "replace").encode("utf-8", "replace")
    return data.removeprefix(codecs.BOM_UTF8)


def _unit(text: str, reading: Reading) -> list[ContainerSpec]:
    entries = list(assignments(text, reading))
    sections = {entry.section for entry in entries}
    unit = reading.name.rpartition("/")[2]
    if not sections.isdisjoint(OF_QUADLET) and not sections & {"Mount", "Swap"}:
        return list(read_quadlet(entries, unit, reading))
    if not sections.isdisjoint(OF_SYSTEMD):
        return list(read_unit(entries, unit, reading))
    reading.left_out("a unit without a section that starts processes", Where(reading.name, 1, 1))
    return []


def _documents(data: bytes, reading: Reading) -> list[ContainerSpec]:
    """Of YAML: compose files as they come, and objects of Kubernetes together, as they refer to each other."""
    objects: list[Node] = []
    found: list[ContainerSpec] = []
    seen = False
    if data.lstrip().startswith(b"{"):
        # JSON may be indented by tabs, which YAML does not know; in its strings there are none.
        data = data.replace(b"\t", b" ")
    for document in documents(data, reading):
        seen = True
        if is_config(document):
            found.append(read_config(document, reading))
        elif is_kubernetes(document):
            objects.append(document)
        elif is_compose(document):
            found += ComposeReader(reading, document).read()
        else:
            reading.left_out(_unknown(document), document.where)
    if objects:
        found = [*found, *KubernetesReader(reading).read(objects)]
    if not seen and not reading.remarks:
        reading.error("nothing is in it", Where(reading.name, 1, 1))
    return found


def _unknown(document: Node) -> str:
    if not isinstance(document.value, dict):
        return "no mapping, so neither an object of Kubernetes nor a compose file"
    if "kind" in document.value or "apiVersion" in document.value:
        return "an object of Kubernetes takes both apiVersion and kind"
    return "neither an object of Kubernetes (apiVersion, kind) nor a compose file (services)"

"""What a test asks of a manifest that it writes."""

from __future__ import annotations

import textwrap

from mntscope.parse.manifests.containers import ContainerSpec, Manifest, MountSpec
from mntscope.parse.manifests.read import read_manifest


def read(text: str, name: str = "f") -> Manifest:
    """*text*, without the indentation that it has in the test."""
    return read_manifest(textwrap.dedent(text).lstrip("\n").encode("utf-8", "surrogateescape"), name)


def container(text: str, name: str = "f") -> ContainerSpec:
    """The one container in *text*, with which nothing is wrong."""
    manifest = read(text, name)
    assert [remark for remark in manifest.remarks if remark.kind == "error"] == []
    (spec,) = manifest.containers
    return spec


def mount(text: str, name: str = "f") -> MountSpec:
    """The one mount of the one container in *text*."""
    (found,) = container(text, name).mounts
    return found


def said(manifest: Manifest) -> list[str]:
    """The remarks, each as one line: kind, place, what."""
    return [f"{remark.kind} {remark.where.line}:{remark.where.column} {remark.what}" for remark in manifest.remarks]

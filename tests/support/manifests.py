"""Two hundred manifests of the kind that charts make: forty written by hand in tests/data/manifests, each in some ways.

A comment in each says what is in it: its containers with the number of their mounts, in order, and which mounts have a
propagation type. A way of writing changes none of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.support.repository import DATA

WRITTEN = sorted((DATA / "manifests").iterdir())


@dataclass(frozen=True, slots=True)
class Made:
    """One manifest, and what a reader has to find in it."""

    name: str
    """The file's, and in which way it is written."""
    file: str
    data: bytes
    mounts: tuple[tuple[str, int], ...]
    """The containers, each with how many mounts it asks for."""
    propagations: frozenset[tuple[str, str, str]]
    """Container, path in it, and the word."""


def _again(text: str) -> str:
    return text


def _with_carriage_returns(text: str) -> str:
    return text.replace("\n", "\r\n")


# ---- YAML ----


def _documents(text: str) -> list[dict[str, object]]:
    return [document for document in yaml.safe_load_all(text) if document is not None]


def _as_json(text: str) -> str:
    return "\n---\n".join(json.dumps(document, indent=1) for document in _documents(text))


def _with_aliases(text: str) -> str:
    """In block style; what is there twice is an alias."""
    shared: dict[str, object] = {}

    def folded(value: object) -> object:
        if isinstance(value, dict):
            value = {key: folded(each) for key, each in value.items()}
        elif isinstance(value, list):
            value = [folded(each) for each in value]
        return shared.setdefault(json.dumps(value, sort_keys=True), value) if value else value

    return yaml.safe_dump_all([folded(document) for document in _documents(text)], sort_keys=False)


def _among_others(text: str) -> str:
    """Objects in a list, beside one that starts nothing; a compose file with fields that only people read."""
    documents = _documents(text)
    if "services" in documents[0]:
        return f"# of a project\nx-note: {{volumes: [/not:/mounted]}}\n{text}"
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}, "data": {"kind": "Pod"}}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [other, *documents]}, default_flow_style=None)


# ---- units and command lines ----


def _with_comments(text: str) -> str:
    return "\n; a comment\n".join(re.split(r"(?<!\\)\n", text))


def _continued(text: str) -> str:
    """Each value on a line of its own."""
    return re.sub(r"^(\w+)=(?=\S)", r"\1=\\\n    ", text, flags=re.MULTILINE)


def _taken_back(text: str) -> str:
    """With settings that are made, and taken back, before those that count."""
    section = "Container" if "[Container]" in text else "Pod" if "[Pod]" in text else "Service"
    wrong = "Volume=/gone:/gone\nVolume=\n" if section != "Service" else "BindPaths=/gone\nBindPaths=\n"
    return text if f"[{section}]" not in text else text.replace(f"[{section}]\n", f"[{section}]\n{wrong}", 1)


def _on_one_line(text: str) -> str:
    return re.sub(r"\\\n\s*", "", text)


def _by_another_user(text: str) -> str:
    return re.sub(r"^(?:sudo )?(docker|podman) ", r"sudo -E /usr/bin/\1 ", text, flags=re.MULTILINE)


def _with_equals(text: str) -> str:
    """``--volume=/a:/b`` for ``-v /a:/b``."""
    return re.sub(r"(?:-v|--volume) (?=\S)", "--volume=", text)


WAYS: dict[str, tuple[Callable[[str], str], ...]] = {
    ".yaml": (_again, _with_carriage_returns, _as_json, _with_aliases, _among_others),
    ".sh": (_again, _on_one_line, _by_another_user, _with_equals),
    "": (_again, _with_carriage_returns, _with_comments, _continued, _taken_back),
}


def manifests() -> Iterator[Made]:
    """All of them, always the same."""
    for path in WRITTEN:
        text = path.read_text("utf-8")
        for way in WAYS.get(path.suffix, WAYS[""]):
            yield _made(path, text, way)


def _made(path: Path, text: str, way: Callable[[str], str]) -> Made:
    (containers,) = re.findall(r"^# containers: (.*)$", text, re.MULTILINE)
    mounts = (entry.rpartition("=") for entry in containers.split())
    words = re.findall(r"^# propagation: (\S+) (\S+) (\S+)$", text, re.MULTILINE)
    return Made(
        f"{path.name}{'' if way is _again else way.__name__.replace('_', ' ')}",
        path.name,
        way(text).encode(),
        tuple((name, int(count)) for name, _, count in mounts),
        frozenset((container, where, word) for container, where, word in words),
    )

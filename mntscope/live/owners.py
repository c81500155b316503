"""Whom a process belongs to, in words, from the text of its /proc/PID/cgroup (cgroups(7))."""

from __future__ import annotations

import re
from typing import NamedTuple

_ID = r"([0-9a-f]{64}|[0-9a-f]{32}-[0-9]+)"
_END = r"(?=/|$)"

# How each names the cgroup of what it runs; "machine" is whatever systemd-machined registers. Of several that fit,
# the innermost is meant. (A container's monitor, as in crio-conmon-ID.scope, is not the container.)
_PATTERNS = tuple(
    (runtime, re.compile(pattern + _END))
    for runtime, pattern in (
        ("docker", rf"/docker-{_ID}(?:\.scope)?"),
        ("docker", rf"/(?:docker|actions_job)/{_ID}"),
        ("podman", rf"/libpod-{_ID}(?:\.scope)?"),
        ("cri-o", rf"/crio-{_ID}(?:\.scope)?"),
        ("containerd", rf"[/:]cri-containerd[-:]{_ID}(?:\.scope)?"),
        ("kubernetes", rf"/pod[^/]+/{_ID}"),
        ("ecs", rf"/ecs/(?:[^/]+/)*{_ID}"),
        ("runc", r"/runc-([^/]+)\.scope"),
        ("crun", r"/crun-([^/]+)\.scope"),
        ("lxc", r"/lxc(?:\.payload\.|/)([^/]+)"),
        ("machine", r"/machine-([^/]+)\.scope"),
        ("machine", r"/systemd-nspawn@([^/]+)\.service"),
        ("garden", r"/garden/([^/]+)"),
        ("snap", r"/snap\.([^/]+?)(?:[.-][0-9a-f-]{9,})?\.(?:scope|service)"),
        ("flatpak", r"/(?:app-)?flatpak-([^/]+)-[0-9]+\.scope"),
    )
)
_UNIT = re.compile(r"/([^/]+\.(?:service|scope))" + _END)
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")


class Owner(NamedTuple):
    """A container (or what is like one) and its runtime, or a unit of systemd, whose *runtime* is ``""``."""

    runtime: str
    name: str

    def __str__(self) -> str:
        # 64 digits are an id, of which tools show 12.
        short = self.name[:12] if re.fullmatch("[0-9a-f]{64}", self.name) else self.name
        return f"{self.runtime} {short}".strip()


def owner_of(cgroup: str) -> Owner | None:
    """The owner that the paths of a /proc/PID/cgroup text name, containers before units."""
    paths = [line.split(":", 2)[2] for line in cgroup.split("\n") if line.count(":") >= 2]
    for path in paths:
        fits = [(match.start(1), runtime, match[1]) for runtime, p in _PATTERNS for match in p.finditer(path)]
        if fits:
            _, runtime, name = max(fits)
            return Owner(runtime, _unescaped(name))
    for path in paths:
        units = _UNIT.findall(path)
        if units:
            return Owner("", _unescaped(units[-1]))
    return None


def _unescaped(name: str) -> str:
    """A unit's name as it was before systemd-escape(1)."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), name)

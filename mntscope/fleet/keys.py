"""What is the same on two hosts: the names of applications and of places, without what is different in each pod.

Numbers of mounts, groups and devices mean nothing on another host, and neither do ids: a pod's name ends in letters
that were drawn for it (apimachinery's ``SafeEncodeString``, which has no vowels), and its volumes lie below its uid. So
an owner is reduced to its *application*, and a path to a *place*, in which ``*`` stands for whatever was an id.
"""

from __future__ import annotations

import re
from functools import lru_cache

from mntscope.model import Owner

HOST = "host"
"""The application that the host's own namespace counts as."""

_UUID = "[0-9a-fA-F]{8}(?:[-_][0-9a-fA-F]{4}){3}[-_][0-9a-fA-F]{12}"
_HEX = "[0-9a-f]{12,64}"
_ID = rf"(?:{_UUID}|{_HEX})"
_DRAWN = "[bcdfghjklmnpqrstvwxz2456789]"

# The hash of a ReplicaSet's template and the pod's own letters; the letters alone (of a DaemonSet, a Job), in which
# there is a digit nearly always, and in a word of a name hardly ever; the number in a StatefulSet, or of a replica.
_OF_REPLICA_SET = rf"-(?:[0-9a-f]{{8,10}}|{_DRAWN}{{6,10}})-{_DRAWN}{{5}}"
_OF_POD = rf"-(?=\w*\d){_DRAWN}{{5}}"
_NUMBER = r"[-_.]\d+"
_POD_SUFFIX = re.compile(rf"(?:{_OF_REPLICA_SET}|{_OF_POD}|{_NUMBER})$")

_KUBERNETES = re.compile(r"k8s_(?P<container>[^_]+)_(?P<pod>[^_]+)_(?P<namespace>[^_]+)_[^_]+_\d+")
"""What dockershim, and cri-dockerd after it, call a container."""

_UNIT = (
    (re.compile(r"@.*(?=\.[a-z]+$)"), "@"),
    (re.compile(r"^(session|run|app|vte-spawn|tmux-spawn)-.*(?=\.[a-z]+$)"), r"\1-*"),
)

_PLACES = (
    (re.compile(rf"{_UUID}(?![0-9A-Za-z])"), "*"),
    (re.compile(rf"(?<![0-9A-Za-z]){_HEX}(?![0-9A-Za-z])"), "*"),
    (re.compile(r"/\d+(?=/|$)"), "/*"),
    (re.compile(rf"(/kube-api-access-){_DRAWN}{{5}}(?=/|$)"), r"\1*"),
    (re.compile(r"(/systemd-private-)\*(-.+)-[^/-]{6}(?=/|$)"), r"\1*\2-*"),
)


def application(owner: Owner | None, otherwise: str = "") -> str:
    """What *owner* is called on every host: ``web`` of ``web-7d9f8c6b5-x2x4z``, ``getty@.service``.

    Of a container that has no name but its id this is ``*``. *otherwise* is what counts where no owner is known.

    >>> application(Owner("containerd", "web-7d9f8c6b5-x2x4z")), application(Owner("unit", "user@1000.service"))
    ('web', 'user@.service')
    """
    if owner is None:
        return otherwise
    return _application(owner.kind, owner.name)


@lru_cache(4096)
def _application(kind: str, name: str) -> str:
    if kind == "unit":
        for pattern, written in _UNIT:
            name = pattern.sub(written, name)
        return plain(name)
    if "/" in name:
        # Of a cgroup the path.
        return place(f"/{name}")[1:]
    if found := _KUBERNETES.fullmatch(name):
        workload = _POD_SUFFIX.sub("", found["pod"]) or found["pod"]
        return plain(f"{found['namespace']}/{workload}/{found['container']}")
    if re.fullmatch(rf"{_ID}(?:-\d+)?", name):
        return "*"
    return plain(_POD_SUFFIX.sub("", name) or name)


@lru_cache(1 << 14)
def place(path: str) -> str:
    """*path* with ``*`` for each id in it, and each part that is a number.

    >>> place("/var/lib/kubelet/pods/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f/volumes/data"), place("/run/user/1000")
    ('/var/lib/kubelet/pods/*/volumes/data', '/run/user/*')
    """
    for pattern, written in _PLACES:
        path = pattern.sub(written, path)
    return plain(path)


def plain(text: str) -> str:
    r"""*text* as Arrow takes it, which is Unicode: a byte that was not UTF-8 is written ``\xff``.

    Whatever else is in it stays, and is made harmless where it is shown.
    """
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")

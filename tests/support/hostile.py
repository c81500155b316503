"""Snapshots that no kernel would give, and that a stranger may: of each shape one of any size, as JSON values.

What is odd about each is in its name; *n* is how many mounts (or what else there are many of) it has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

Document = dict[str, Any]


def line(mount_id: int, parent: int, device: str, root: str, at: str, tags: str = "", source: str = "t") -> str:
    """A line of mountinfo."""
    return f"{mount_id} {parent} {device} {root} {at} rw{tags and ' ' + tags} - tmpfs {source} rw"


def process(pid: int) -> Document:
    """A process of which little is known."""
    known: Document = {
        "start_time": 1,
        "comm": "c",
        "root": "/",
        "pid_namespace": None,
        "user_namespace": None,
        "cgroup": "",
    }
    return {"pid": pid, **known}


def view(label: str, lines: Iterable[str], **namespace: Any) -> Document:
    """A view of a namespace."""
    known: Document = {"inode": None, "id": None, "user_namespace": None, "owner": None, "processes": [], "holds": []}
    return {
        "label": label,
        "mountinfo": list(lines),
        "namespace": {**known, **namespace},
        "process": None,
        "proc_pid_namespace": None,
        "detached": False,
        "problems": [],
    }


def snapshot(*views: Document, **members: Any) -> Document:
    """Of these views the first is the host's."""
    known: Document = {"kernel": "6.18.0", "mount_max": None, "not_seen": [], "skeleton": None, "handles": []}
    return {"format": "mntscope.snapshot/1", "host": views[0]["label"], "views": list(views), **known, **members}


def _host(*lines: str) -> Document:
    return view("host", [line(1, 0, "8:1", "/", "/", "shared:1"), *lines], inode=1)


def _target(lines: Iterable[str], **namespace: Any) -> Document:
    return view("target", [line(2_000_000, 0, "9:1", "/", "/"), *lines], **{"inode": 2, **namespace})


def namespaces_sharing_root(n: int) -> Document:
    """Every one of n namespaces is a peer of the host's ``/``."""
    others = (view(str(i), [line(i, 0, "8:1", "/", "/", "shared:1")], inode=i) for i in range(3, n))
    return snapshot(_host(), _target([line(2, 2_000_000, "8:1", "/", "/mnt", "shared:1")]), *others)


def namespaces_without_names(n: int) -> Document:
    """The same, of which no inode is known: the mounts are all there is to tell them apart."""
    document = namespaces_sharing_root(n)
    for each in document["views"]:
        each["namespace"]["inode"] = None
    return document


def views_of_one_mount(n: int) -> Document:
    """n/2 views without a name, each of one mount of the host, which has n/2."""
    mounts = [line(i + 10, 1, "8:1", "/", f"/m{i}", f"shared:{i + 2}") for i in range(n // 2)]
    others = (view(str(i), mounts[i : i + 1]) for i in range(n // 2))
    return snapshot(view("host", [line(1, 0, "8:1", "/", "/"), *mounts]), _target([], inode=None), *others)


def chain_of_masters(n: int) -> Document:
    """Each group receives from the one before."""
    chain = [line(i + 10, 1, "8:1", "/", f"/m{i}", f"shared:{i + 2} master:{i + 1}") for i in range(n)]
    return snapshot(_host(*chain), _target([line(3, 2_000_000, "8:1", "/", "/mnt", f"master:{n + 1}")]))


def chain_upside_down(n: int) -> Document:
    """The same, the last first, and half of it in each of two namespaces."""
    chain = [f"shared:{i + 2} master:{i + 1}" for i in range(n)][::-1]
    lines = [line(i + 10, 2_000_000 if i % 2 else 1, "8:1", "/", f"/m{i}", tags) for i, tags in enumerate(chain)]
    return snapshot(_host(*lines[::2]), _target(lines[1::2]))


def slaves_below_a_chain(n: int) -> Document:
    """Each of n/2 slaves is n/2 groups away from the nearest that its namespace shows."""
    half = n // 2
    chain = [line(i + 10, 1, "8:1", "/", f"/m{i}", f"shared:{i + 2} master:{i + 1}") for i in range(half)]
    slaves = [line(i + 3_000_000, 2_000_000, "8:1", "/", f"/s{i}", f"master:{half + 1}") for i in range(half)]
    return snapshot(_host(*chain), _target([line(9, 2_000_000, "8:1", "/", "/top", "shared:1"), *slaves]))


def slaves_of_a_large_group(n: int) -> Document:
    """n/2 slaves of a group of n/2."""
    peers = (line(i + 10, 1, "8:1", "/", f"/p{i}", "shared:1") for i in range(n // 2))
    slaves = (line(i + 3_000_000, 2_000_000, "8:1", "/", f"/s{i}", "master:1") for i in range(n // 2))
    return snapshot(_host(*peers), _target(slaves))


def children_of_peers(n: int) -> Document:
    """n/2 peers, of which one has n/2 children: what happens to a child may concern all."""
    peers = (line(i + 10, 1, "8:1", "/", f"/p{i}", "shared:1") for i in range(n // 2))
    children = (line(i + 3_000_000, 9, "0:9", "/", f"/mnt/c{i}", f"shared:{i + 2}") for i in range(n // 2))
    return snapshot(_host(*peers), _target([line(9, 2_000_000, "8:1", "/", "/mnt", "shared:1"), *children]))


def stacked(n: int) -> Document:
    """All mounts lie over each other."""
    stack = [line(i + 10, i + 9 if i else 2_000_000, "0:9", "/", "/mnt", "shared:7") for i in range(n)]
    return snapshot(_host(line(2, 1, "0:9", "/", "/mnt", "shared:7")), _target(stack))


def at_one_place(n: int) -> Document:
    """All mounts are at one place of one parent."""
    return snapshot(_host(), _target(line(i + 10, 2_000_000, f"0:{i}", "/", "/mnt", "shared:7") for i in range(n)))


def deep_path(n: int) -> Document:
    """A path of n components, and a mount at each hundredth."""
    lines = [line(i + 10, 2_000_000, "0:9", "/", "/d" * i, "shared:7") for i in range(1, n, max(1, n // 100))]
    return snapshot(_host(line(2, 1, "0:9", "/", "/mnt", "shared:7")), _target(lines))


def nested_roots(n: int) -> Document:
    """Peers that show each a directory deeper, up to 1000 deep."""
    lines = [line(i + 10, 2_000_000, "0:9", "/d" * (i % 1000 + 1), f"/m{i}", "shared:7") for i in range(n // 10)]
    return snapshot(_host(line(2, 1, "0:9", "/", "/mnt", "shared:7")), _target(lines))


def parents_in_a_circle(n: int) -> Document:
    """Every mount is the parent of the next, and the last of the first."""
    return snapshot(
        _host(), _target(line(i + 10, (i + 1) % n + 10, "0:9", "/", f"/m{i}", "shared:7") for i in range(n))
    )


def parents_in_pairs(n: int) -> Document:
    """Mounts that are each other's parents."""
    return snapshot(_host(), _target(line(i + 10, (i ^ 1) + 10, "0:9", "/", "/m", "shared:7") for i in range(n)))


def one_mount_id(n: int) -> Document:
    """All mounts have one ID."""
    return snapshot(_host(), _target(line(10, 2_000_000, "0:9", "/", f"/m{i}", "shared:7") for i in range(n)))


def masters_in_a_circle(n: int) -> Document:
    """Each group receives from the next, and the last from the first; some members disagree."""
    ring = [f"shared:{i + 2} master:{(i + 1) % n + 2}" for i in range(n)]
    lines = [line(i + 10, 2_000_000, "0:9", "/", f"/m{i}", tags) for i, tags in enumerate(ring)]
    others = [line(i + 3_000_000, 1, "0:9", "/", f"/h{i}", f"shared:{i + 2}") for i in range(0, n, 3)]
    return snapshot(_host(*others), _target(lines))


def circles_that_close(n: int) -> Document:
    """Pairs of groups that become each other's masters when the member goes that says otherwise."""
    first, second = [], []
    for i in range(0, n // 3 * 2, 2):
        a, b = i + 2, i + 3
        first.append(line(2 * i + 10, 2_000_000, "0:9", "/", f"/a{i}", f"shared:{a}"))
        second.append(line(2 * i + 11, 1, "0:9", "/", f"/b{i}", f"shared:{a} master:{b}"))
        second.append(line(2 * i + 12, 1, "0:9", "/", f"/c{i}", f"shared:{b} master:{a}"))
    return snapshot(_host(*second), _target(first))


def far_claims(n: int) -> Document:
    """Groups that no view shows, each said to be below the next by a slave of it."""
    lines = (
        line(i + 10, 2_000_000, "0:9", "/", f"/m{i}", f"master:{i % n + 2} propagate_from:{(i + 7) % n + 2}")
        for i in range(n)
    )
    again = (
        line(i + 3_000_000, 1, "0:9", "/", f"/m{i}", f"master:{i + 2} propagate_from:{(i + 8) % n + 2}")
        for i in range(n)
    )
    return snapshot(_host(*again), _target(lines))


def one_inode(n: int) -> Document:
    """n views are of one namespace, and show different mounts."""
    others = (view(str(i), [line(i, 0, "8:1", "/", f"/m{i}", "shared:1")], inode=2) for i in range(3, n))
    return snapshot(_host(), _target([]), *others)


def one_process(n: int) -> Document:
    """One process lives in n namespaces."""
    others = (
        view(str(i), [line(i, 0, "8:1", "/", "/", "shared:1")], inode=i, processes=[process(4711)]) for i in range(3, n)
    )
    return snapshot(_host(), _target([], processes=[process(4711)]), *others)


def many_processes(n: int) -> Document:
    """n processes live in one namespace."""
    return snapshot(_host(), _target([], processes=[process(i + 10) for i in range(n)]))


def many_holds(n: int) -> Document:
    """One namespace is held by n mounts of its file."""
    holds = [{"kind": "mount", "where": f"/run/{i}", "label": "host", "process": None} for i in range(n)]
    files = (line(i + 10, 1, "0:4", "mnt:[2]", f"/run/{i}") for i in range(n // 2))
    return snapshot(_host(*files), _target([], holds=holds))


def many_of_the_rest(n: int) -> Document:
    """Handles, a skeleton, and notes of what was not seen."""
    names = [f"d{i}/e" for i in range(n // 4)]
    return snapshot(
        _host(),
        _target([]),
        handles=[[f"h{i}", 1] for i in range(n // 4)],
        skeleton={"dirs": ["mnt", *names], "files": names},
        not_seen=[{"what": f"w{i}", "where": f"process {i}"} for i in range(n // 4)],
    )


def cgroup_roots(n: int) -> Document:
    """Roots far above the reader's cgroup namespace, and others of the same filesystem."""
    lines = (line(i + 10, 2_000_000, "0:9", f"/c{i}", f"/m{i}", "shared:7") for i in range(n))
    return snapshot(_host(line(2, 1, "0:9", "/.." * 300_000, "/mnt", "shared:7")), _target(lines))


def overlays(n: int) -> Document:
    """Overlays of very many directories."""
    layers = ":".join(f"/l{i}" for i in range(100))
    lines = (
        f"{i + 10} 2000000 0:{i + 9} / /m{i} rw - overlay o rw,lowerdir={layers},upperdir=/u{i}" for i in range(n // 10)
    )
    return snapshot(_host(line(2, 1, "0:9", "/", "/mnt", "shared:7")), _target(lines))


def odd_names(n: int) -> Document:
    """Names that are empty, enormous, or made of what turns a terminal around."""
    odd = ["\u202e\u2066x", "\x1b[2J\x07", "\udcff\udc80", "\U0001f600" * 20, "x" * 5000, "<script>", "=1+1", "\r"]
    lines = (
        line(i + 10, 2_000_000, f"0:{i}", "/", f"/{odd[i % 8]}{i}", "shared:7", odd[i % 8]) for i in range(n // 10)
    )
    others = (view(f"{odd[i % 8]}{i}", [], inode=None) for i in range(n // 10))
    return snapshot(_host(), _target(lines), *others)


SHAPES: dict[str, Callable[[int], Document]] = {
    shape.__name__.replace("_", " "): shape
    for shape in (
        namespaces_sharing_root,
        namespaces_without_names,
        views_of_one_mount,
        chain_of_masters,
        chain_upside_down,
        slaves_below_a_chain,
        slaves_of_a_large_group,
        children_of_peers,
        stacked,
        at_one_place,
        deep_path,
        nested_roots,
        parents_in_a_circle,
        parents_in_pairs,
        one_mount_id,
        masters_in_a_circle,
        circles_that_close,
        far_claims,
        one_inode,
        one_process,
        many_processes,
        many_holds,
        many_of_the_rest,
        cgroup_roots,
        overlays,
        odd_names,
    )
}

COMMANDS: dict[str, tuple[str, ...]] = {
    "ns": ("ns", "--snapshot", "{file}"),
    "ns json": ("ns", "--snapshot", "{file}", "--format", "json"),
    "tree": ("tree", "snapshot:{file}#target"),
    "tree json": ("tree", "snapshot:{file}#target", "--format", "json"),
    "graph": ("graph", "--snapshot", "{file}"),
    "graph json": ("graph", "--snapshot", "{file}", "--format", "json"),
    "graph dot": ("graph", "--snapshot", "{file}", "--format", "dot"),
    "graph mermaid": ("graph", "--snapshot", "{file}", "--format", "mermaid"),
    "graph html": ("graph", "--snapshot", "{file}", "--format", "html", "--all"),
    "diff": ("diff", "snapshot:{file}#target"),
    "diff json": ("diff", "snapshot:{file}#target", "--format", "json"),
    "mount": ("predict", "snapshot:{file}#target", "--", "mount", "-t", "proc", "proc", "/mnt"),
    "rbind": ("predict", "snapshot:{file}#target", "--", "mount", "--rbind", "/", "/mnt"),
    "umount -R": ("predict", "snapshot:{file}#target", "--", "umount", "-R", "/mnt"),
    "umount -R /": ("predict", "snapshot:{file}#target", "--", "umount", "-R", "/"),
    "rprivate": ("predict", "snapshot:{file}#target", "--", "mount", "--make-rprivate", "/"),
    "holders": ("holders", "/mnt", "--snapshot", "{file}"),
    "audit": ("audit", "{file}", "--no-settings"),
    "audit sarif": ("audit", "{file}", "--no-settings", "--format", "sarif"),
}
"""Every command that takes a file."""


def written(document: Document) -> bytes:
    """The bytes of a snapshot file, not packed."""
    return json.dumps(document, separators=(",", ":")).encode()

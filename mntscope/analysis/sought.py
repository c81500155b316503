"""What a word on the command line of ``holders`` names: filesystems, each below one or several of its directories.

A path at which the host has nothing mounted any more is looked for by its *place*, the directory of a filesystem that
the host sees there: other namespaces may have something mounted on it, at paths of their own.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from mntscope.analysis.pins import filesystem_of
from mntscope.base.paths import below, normal, relative, under
from mntscope.errors import TargetError
from mntscope.graph import MountTree, PeerGraph, Place, place_at
from mntscope.model import Mount, View

MOST_ALIKE = 64
"""How many directories of a filesystem are asked for before all of it is; how many mounts lie on the way to a place."""
MOST_NAMED = 8
"""How many filesystems are named where one is to be chosen."""

_DEVICE = re.compile(r"\d{1,10}:\d{1,10}")


class Sought:
    """What is asked for; *exists* tells whether the path or device that was given is there, where somebody looked."""

    def __init__(self, graph: PeerGraph, host: str, *, exists: bool | None = None) -> None:
        self.graph = graph
        self.host = graph.tree(host)
        self._exists = exists
        self.paths: list[str] = []
        """The paths asked about."""
        self.roots: dict[str, list[str]] = {}
        """By device the directories; ``/`` for all of it. A device that is mounted nowhere has none."""
        self.inside: Mount | None = None
        """The host's mount that is answered for, where what was asked about lies in it."""
        self.notes: list[str] = []
        """How it was found, where that is not plain."""

    def add(self, names: Iterable[str]) -> None:
        """Take in what the first of *names* names, of which the others are other names.

        :raises TargetError: it names nothing, or several filesystems of which one is to be chosen.
        """
        first, *others = names
        for name in (first, *others):
            self._add_named(name)
        if not self.roots:
            for path in self.paths:
                self._add_by_place(path)
        if not self.roots:
            for path in self.paths:
                self._add_elsewhere(path)
        if not self.roots:
            self._add_nothing((first, *others))

    def add_filesystem(self, mount: Mount) -> None:
        """Take in all of the filesystem of a mount."""
        device, root = filesystem_of(mount)
        self._add(device, root or "/")

    def has(self, mount: Mount) -> bool:
        """Whether *mount* shows what is asked for, or a part of it."""
        return any(root == "/" or under(mount.root, root) for root in self.roots.get(mount.device, ()))

    def _add_named(self, name: str) -> None:
        if _DEVICE.fullmatch(name):
            if any(mount.device == name for _, mount in self._mounts()):
                self._add(name, "/")
        elif name.isascii() and name.isdecimal():
            mount = next((mount for _, mount in self._mounts() if str(mount.mount_id) == name), None)
            if mount is None:
                raise TargetError(
                    "no namespace has a mount of this ID", where=f"mount {name[:20]}", hint="see `findmnt`"
                )
            self._add(mount.device, mount.root)
        else:
            path = normal(name) if name.startswith("/") else ""
            if path:
                self.paths.append(path)
            stack = self.host.stack(path)
            for mount in stack:
                self._add(mount.device, mount.root)
            if not stack:
                self._add_source(name)

    def _add_source(self, name: str) -> None:
        found = {mount.device: (view, mount) for view, mount in reversed(list(self._mounts())) if mount.source == name}
        if len(found) > 1:
            listed = [f"{device} ({mount.mount_point} of {view.label})" for device, (view, mount) in found.items()]
            more = ", .." if len(listed) > MOST_NAMED else ""
            what = f"{len(found)} filesystems have this source"
            raise TargetError(what, where=name, hint=f"give one of {', '.join(listed[:MOST_NAMED])}{more}")
        for device in found:
            self._add(device, "/")

    def _add_by_place(self, path: str) -> None:
        """What other namespaces have mounted where *path* leads on the host, by whatever path they reach it."""
        containing = self.host.containing(path)
        place = place_at(containing, path) if containing is not None else None
        pending, seen = [place] if place is not None else [], set[Place]()
        entered: list[Mount] = []
        while pending and len(seen) < MOST_ALIKE:
            place = pending.pop()
            if place in seen:
                continue
            seen.add(place)
            for on, mount in self._attached(place.device):
                if on == place.path:
                    self._add(mount.device, mount.root)
                elif under(place.path, on):
                    # The host has unmounted that, too: the way goes on inside of it.
                    pending.append(Place(mount.device, below(mount.root, relative(place.path, on))))
                    entered.append(mount)
        hosts = {mount.device for mount in self.host.mounts}
        kept = [mount for mount in entered if mount.device not in hosts] if self._exists is False else []
        if kept and not self.roots:
            self.notes.append(f"{path} is not there any more: it may have been in what others keep mounted there")
            for mount in kept:
                self._add(mount.device, mount.root)

    def _attached(self, device: str) -> list[tuple[str, Mount]]:
        """What other namespaces have mounted on a filesystem, and on which place of it."""
        if not self.__dict__.get("_by_device"):
            by_device: dict[str, dict[tuple[str, Mount], None]] = defaultdict(dict)
            for view in self.graph.views:
                if self.graph.same_namespace(view.label, self.host.view.label):
                    continue
                tree = self.graph.tree(view.label)
                for mount in view.mounts:
                    place = tree.mounted_on(mount)
                    if place is not None:
                        by_device[place.device][place.path, mount] = None
            self._by_device = {key: list(found) for key, found in by_device.items()}
        return self._by_device.get(device, [])

    def _add_elsewhere(self, path: str) -> None:
        """What other namespaces have at a path of the same name, which need not be the host's."""
        found = [(view, mount) for view in self.graph.views for mount in view.mounts if mount.mount_point == path]
        if found:
            self.notes.append(f"{path} is a path of other namespaces, and need not be the same directory on the host")
        for _, mount in found:
            self._add(mount.device, mount.root)

    def _add_nothing(self, names: tuple[str, ...]) -> None:
        """What is mounted nowhere: a device that is there, or a path inside of a mount; else it is an error."""
        first = names[0]
        devices = [name for name in names if _DEVICE.fullmatch(name)]
        if devices:
            if not self._exists:
                raise TargetError("there is no such device, and none is mounted", where=first, hint="see `lsblk`")
            self.roots[devices[0]] = []
        elif not self.paths:
            hint = "give a path, major:minor, a source such as /dev/sda1, or a mount ID"
            raise TargetError("nothing of that name is mounted", where=first, hint=hint)
        elif any(self._lies_below_overlay(path) for path in self.paths):
            return
        else:
            self._add_containing(self.paths[0])

    def _add_containing(self, path: str) -> None:
        if self._exists is False:
            raise TargetError("it does not exist, and nothing is mounted there", where=path, hint="see `findmnt`")
        mount = self.host.containing(path)
        if mount is None or mount.mount_point == "/":
            # The host's root directory is not unmounted; who asks about a path in it asks what is mounted there.
            if self._exists is None:
                what = "nothing is mounted there in any namespace, and whether it exists is not recorded"
                raise TargetError(what, where=path, hint="see `findmnt`")
            return
        self.inside = mount
        self._add(mount.device, mount.root)

    def _lies_below_overlay(self, path: str) -> bool:
        mounts = (mount for _, mount in self._mounts() if mount.fs_type == "overlay")
        return any(under(directory, path) for mount in mounts for directory in directories_of(mount))

    def _add(self, device: str, root: str) -> None:
        roots = self.roots.setdefault(device, [])
        if not any(known == "/" or under(root, known) for known in roots):
            # A path at which very many directories are mounted stands for all of the filesystem.
            root = "/" if len(roots) >= MOST_ALIKE else root
            roots[:] = [*(known for known in roots if root != "/" and not under(known, root)), root]

    def _mounts(self) -> Iterator[tuple[View, Mount]]:
        return ((view, mount) for view in (self.host.view, *self.graph.views) for mount in view.mounts)


def directories_of(overlay: Mount) -> Iterator[str]:
    """The directories it is made of, as they were named when it was mounted; not those named without their way."""
    for option in overlay.super_options:
        name, _, value = option.partition("=")
        if name in ("upperdir", "workdir", "lowerdir", "lowerdir+", "datadir+"):
            for path in re.split(r"(?<!\\):", value):
                if path.startswith("/"):
                    yield normal(re.sub(r"\\(.)", r"\1", path))


def lies_upon(sought: Sought, trees: Iterable[MountTree], overlay: Mount) -> bool:
    """Whether a directory of an overlay lies in what is sought, as one of *trees* sees it now."""
    for path in directories_of(overlay):
        # Where nothing is mounted any more, the name is all there is to go by.
        if not sought.roots and any(under(path, asked) for asked in sought.paths):
            return True
        for tree in trees:
            mount = tree.containing(path)
            place = place_at(mount, path) if mount is not None else None
            if place and any(under(place.path, root) for root in sought.roots.get(place.device, ())):
                return True
    return False

"""What `preview` says of a container before it starts, compared with the mount table that it then has."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from mntscope import Mount, Snapshot, parse_mountinfo
from mntscope.analysis.preview.manager import slug
from mntscope.analysis.preview.preview import PreviewedContainer, preview
from mntscope.analysis.preview.wanted import of_host, of_rootfs
from mntscope.base.paths import under
from mntscope.base.records import replace
from mntscope.live.files import look
from mntscope.parse.manifests.read import read_manifest
from tests.preview.scene import installed, unlike, up_to_numbers
from tests.runtimes.packages import BUSYBOX
from tests.runtimes.scene import Failed, unpack
from tests.runtimes.target import Foreseen

_IMAGE = "/srv/image"
"""Where the image's files can be looked at."""

_NUMBERS = r"[0-9a-f]{64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9A-Z]{26}|(?<=/netns/)[0-9a-f]{12}"
"""What a manager calls directories of a container, a layer, a pod after."""


class Asked:
    """What a user is about to start: *text*, which lies in *file*, on the host as it is now.

    *runtime* is the program that starts it; *container* which one of a pod's.
    """

    def __init__(self, text: str, runtime: str = "", *, file: str = "manifest", container: str = "") -> None:
        self._text = text
        self._file = file
        self._container = container
        program = installed(runtime) if runtime else None
        self._runtime = program.profile if program else runtime or None
        self._before = Path("/proc/1/mountinfo").read_bytes()

    def previewed(self) -> PreviewedContainer:
        """What is said of it.

        :raises Failed: the text is not understood.
        """
        if not os.path.isdir(_IMAGE):
            unpack(BUSYBOX, _IMAGE)
        uname = os.uname()
        host = Snapshot.from_mountinfo({"host": self._before}, kernel=uname.release, kernel_version=uname.version)
        manifest = read_manifest(self._text.encode(), self._file)
        if manifest.remarks:
            raise Failed(f"{manifest.remarks[0].where}: {manifest.remarks[0].what}")
        specs = tuple(spec for spec in manifest.containers if self._container in ("", spec.name))
        (container,) = preview(
            host,
            [replace(manifest, containers=specs)],
            runtime=self._runtime,
            files=look(path for spec in specs for path in of_host(spec, "/")),
            rootfs_files=look((path for spec in specs for path in of_rootfs(spec)), _IMAGE),
        ).containers
        return container

    def compared(self, pid: int) -> Foreseen:
        """The preview, beside the table of the process that has just been started.

        A mount that the preview says to be uncertain of, by its path, is no difference.
        """
        container = self.previewed()
        if container.view is None:
            why = "" if container.refused is None else container.refused.why
            return Foreseen((f"it was not to start: {why}",), doubted=False)
        known, names = parse_mountinfo(self._before), _names(container)
        tables = (container.view.mounts, parse_mountinfo(Path(f"/proc/{pid}/mountinfo").read_bytes()))
        ours, theirs = (up_to_numbers(_without(names, table), known) for table in tables)
        differ = unlike(ours, theirs)
        wrong = [line for row, line in differ if not _is_doubted(str(row[0]), container.uncertain)]
        if not differ and len(ours) != len(theirs):
            wrong = [f"previewed {len(ours)} mounts, really {len(theirs)}"]
        return Foreseen(tuple(wrong), doubted=bool(differ))


def _is_doubted(path: str, doubts: Sequence[str]) -> bool:
    """Whether a doubt is about this path: names it, or says that what is below it is not known."""
    return any(
        re.search(rf"(?<!\S){re.escape(path)}(?![\w/.-])", doubt)
        or any(under(path, outer) and path != outer for outer in re.findall(r"below (/\S+)", doubt))
        or "is not played" in doubt
        for doubt in doubts
    )


def _names(container: PreviewedContainer) -> re.Pattern[str]:
    """Directories that are called after something that nobody knows beforehand, for which the preview has a name."""
    spec = container.spec
    words = {spec.name, container.label, spec.group, spec.group.partition(" ")[2]}
    slugs = {slug(word) for word in words - {""}}
    after = "|".join(re.escape(name) for name in sorted(slugs, key=len, reverse=True))
    # Kubelet calls a container's file by a number, where the preview says what it is for.
    return re.compile(
        rf"(?<=/)(?:{_NUMBERS}|systemd-private-[^/]+|{after})(?=/|$)|(?<=/)(?:termination-log|[0-9a-f]{{8}})$"
    )


def _without(names: re.Pattern[str], mounts: Sequence[Mount]) -> list[Mount]:
    """The mounts, with a star for such a directory."""
    return [
        replace(mount, root=_root(names, mount), mount_point=_keeping(names, mount.mount_point)) for mount in mounts
    ]


def _root(names: re.Pattern[str], mount: Mount) -> str:
    """Its root; the cgroup and the network namespace of a container are not foreseen, as every preview says."""
    return "" if mount.fs_type in ("cgroup2", "nsfs") else names.sub("*", mount.root)


def _keeping(names: re.Pattern[str], path: str) -> str:
    return path if path == "/dev/termination-log" else names.sub("*", path)

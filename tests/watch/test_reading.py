"""Which of the mounts that the kernel lists are a namespace's."""

from __future__ import annotations

from mntscope.parse import parse_mountinfo
from mntscope.watch.reading import within_root

LISTED = b"""\
48 47 0:2 / / rw - rootfs rootfs rw
49 48 254:0 / / rw - ext4 /dev/vda rw
58 49 0:30 / /mnt rw - tmpfs t rw
59 58 0:30 / /mnt rw shared:19 - tmpfs t rw
"""


def ids(table: bytes) -> list[int]:
    mounts = {mount.mount_id: mount for mount in parse_mountinfo(table)}
    return list(within_root(mounts))


def test_the_first_root_beneath_that_of_all_processes_is_none_of_them() -> None:
    assert ids(LISTED) == [49, 58, 59]


def test_on_a_machine_that_lives_in_it_it_is_the_root() -> None:
    assert ids(b"48 47 0:2 / / rw - rootfs rootfs rw\n50 48 0:23 / /tmp rw - tmpfs tmp rw\n") == [48, 50]


def test_another_root_that_is_mounted_over_is_shown_as_mountinfo_shows_it() -> None:
    assert ids(LISTED.replace(b"rootfs", b"tmpfs")) == [48, 49, 58, 59]

"""What /proc and /sys tell of block devices, read."""

from __future__ import annotations

from mntscope.analysis.references import KernelFile
from mntscope.live.block_devices import swap_files

SWAPS = rb"""Filename				Type		Size		Used		Priority
/dev/dm-1                               partition	8388604		0		-2
/srv/swap\040file                       file		1048572		0		-3
/srv/gone\040(deleted)                  file		1048572		0		-4
odd
"""


def test_swap_files_are_told_from_partitions() -> None:
    assert list(swap_files(SWAPS.splitlines(keepends=True))) == [
        KernelFile("", "/srv/swap file"),
        KernelFile("", "/srv/gone"),
    ]
    assert KernelFile("", "/srv/gone").release == ("swapoff", "/srv/gone")

"""The kernels of Debian's suites: which there are, their image, and the modules that a guest needs."""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.kernels.debian import Debian, Package, Unavailable

WANTED = ("5.10.223", "5.10", "6.1", "6.12", "6.16", "6.17", "6.18", "7.2", "7.3")
"""Beginnings of versions: of each the newest that is to be had."""

MODULES = ("virtio_pci", "virtio_blk", "virtio_rng", "ext4", "overlay", "fuse", "loop", "squashfs", "btrfs")
"""For the guest's disks, and for what the tests mount."""

_IMAGES = ("linux-image-[0-9].*-cloud-amd64", "linux-image-[0-9].*[0-9]-amd64")
"""Those made for virtual machines are the smaller ones."""
_TRIED = 3
"""Newest versions that are tried, where the list names some that are not to be had."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel, unpacked."""

    version: str
    """Its point release, such as ``6.1.192``."""
    directory: Path

    @property
    def image(self) -> Path:
        """What is booted."""
        return next(self.directory.rglob("vmlinuz*"))

    def modules(self) -> Iterator[tuple[str, bytes]]:
        """The modules of :data:`MODULES` that are not built in, each after those that it depends on."""
        files = {_plain(file.name.partition(".")[0]): file for file in self.directory.rglob("*.ko*")}
        loaded: set[str] = set()

        def load(name: str) -> Iterator[tuple[str, bytes]]:
            if name in files and name not in loaded:
                loaded.add(name)
                module = _decompressed(files[name])
                for needed in _depends(module):
                    yield from load(needed)
                yield name, module

        for name in MODULES:
            yield from load(name)


def find(debian: Debian, wanted: str, directory: Path) -> Kernel:
    """The newest kernel whose version begins with *wanted*, unpacked below *directory*.

    :raises Unavailable: no suite has it, or it cannot be downloaded.
    """
    begins = re.compile(rf"{re.escape(wanted)}(?![0-9])")
    candidates = [package for names in _IMAGES for package in debian.packages(names) if begins.match(package.version)]
    failure = Unavailable(f"no suite has a linux-image of {wanted}")
    for package in candidates[:_TRIED]:
        try:
            return _unpacked(debian, package, directory)
        except Unavailable as error:
            failure = error
    raise failure


def _unpacked(debian: Debian, package: Package, directory: Path) -> Kernel:
    version = re.match("[0-9.]+", package.version)
    assert version
    target = directory / package.version
    done = target / "unpacked"
    if not done.exists():
        # Newer packages of an image have it, and the modules, in others.
        for part in (package, *debian.needed(package, "linux-(binary|modules)-.*")):
            debian.unpack(part, target)
        done.touch()
    return Kernel(version[0], target)


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _decompressed(file: Path) -> bytes:
    if file.suffix == ".xz":
        return lzma.decompress(file.read_bytes())
    if file.suffix == ".zst":
        import zstandard

        return zstandard.ZstdDecompressor().decompressobj().decompress(file.read_bytes())
    return file.read_bytes()


def _depends(module: bytes) -> list[str]:
    """What a module names in its section .modinfo: those it needs, and those to load first."""
    found = re.findall(rb"\0(?:depends=|softdep=pre: )([^\0]*)", module)
    return [_plain(name) for names in found for name in re.split("[, ]", names.decode()) if name]

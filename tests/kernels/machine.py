"""A kernel booted under qemu, with a root filesystem that it may write to and that stays as it was."""

from __future__ import annotations

import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.kernels.kernel import Kernel

RESULT = 64 << 20
"""Bytes of the disk that brings results back."""

KVM = ("-accel", "kvm", "-cpu", "host")
TCG = ("-accel", "tcg", "-cpu", "max,la57=off")

_INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
for module in $(cat /modules/order); do insmod /modules/$module; done
for wait in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vda ] && break; sleep 0.5; done
mount -t ext4 -o ro /dev/vda /root || { echo 'no root disk'; cat /proc/partitions; dmesg | tail -n 20; poweroff -f; }
umount /dev
exec switch_root /root /guest/init
"""


def boot(kernel: Kernel, root: Path, busybox: Path, script: str, results: Path, seconds: float, cpus: int) -> bool:
    """Boot *kernel* on the disk *root*, and run *script* there as root; it is ended after so many *seconds*.

    An archive that it writes to ``/dev/vdc`` is unpacked in *results*, where ``console`` is what it prints. What was
    written to the root is forgotten. Returned is whether it ended in time.
    """
    if results.exists():
        shutil.rmtree(results)
    results.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="mntscope-kernel-") as name:
        scratch = Path(name)
        given, result, initrd = scratch / "script", scratch / "result", scratch / "initrd"
        given.write_text(script)
        result.touch()
        for disk in (given, result):
            with disk.open("r+b") as file:
                file.truncate(RESULT)
        initrd.write_bytes(b"".join(newc(first_root(kernel, busybox))))
        argv = [
            *_qemu(kernel), *(KVM if kvm_works(kernel) else TCG),
            "-smp", str(cpus), "-m", "2G", "-device", "virtio-rng-pci", "-initrd", str(initrd),
            "-drive", f"file={root},format=raw,if=virtio,snapshot=on",
            "-drive", f"file={given},format=raw,if=virtio,readonly=on",
            "-drive", f"file={result},format=raw,if=virtio",
        ]  # fmt: skip
        with (results / "console").open("wb", buffering=0) as console:
            in_time = True
            try:
                subprocess.run(
                    argv, stdin=subprocess.DEVNULL, stdout=console, stderr=console, check=False, timeout=seconds
                )
            except subprocess.TimeoutExpired:
                in_time = False
                console.write(b"\nended, as it took more than %d s\n" % seconds)
        _bring(result, results)
    return in_time


@cache
def kvm_works(kernel: Kernel) -> bool:
    """Whether *kernel* begins under KVM, which may be here and not work. Without a disk it soon gives up."""
    argv = [*_qemu(kernel), *KVM, "-m", "512M"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=15)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and b"Kernel panic" in done.stdout


def _qemu(kernel: Kernel) -> list[str]:
    """A machine with a console, which ends where its kernel would start again."""
    return [
        "nice", "-n", "15", "qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio",
        "-kernel", str(kernel.image), "-append", "console=ttyS0 panic=-1 quiet",
    ]  # fmt: skip


def first_root(kernel: Kernel, busybox: Path) -> Iterator[tuple[str, int, bytes]]:
    """The files of the first root filesystem: it loads what the real one takes to be mounted."""
    for directory in ("bin", "dev", "modules", "root"):
        yield directory, stat.S_IFDIR | 0o755, b""
    yield "init", stat.S_IFREG | 0o755, _INIT.encode()
    yield "bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes()
    order = []
    for name, module in kernel.modules():
        order.append(f"{name}.ko\n")
        yield f"modules/{name}.ko", stat.S_IFREG | 0o644, module
    yield "modules/order", stat.S_IFREG | 0o644, "".join(order).encode()


def newc(files: Iterator[tuple[str, int, bytes]]) -> Iterator[bytes]:
    """An archive as the kernel reads it (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    for number, (name, mode, data) in enumerate((*files, ("TRAILER!!!", 0, b"")), 1):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        yield header + b"\0" * (-len(header) % 4) + data + b"\0" * (-len(data) % 4)


def _bring(disk: Path, results: Path) -> None:
    """Unpack what the guest wrote to its second disk: an archive, or nothing."""
    with disk.open("rb") as file:
        if not file.read(1).strip(b"\0"):
            return
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:") as archive:
            # They lie in one directory. (Python 3.11.2, which Debian 12 has, knows no filters of extractall().)
            for member in archive:
                if (content := archive.extractfile(member)) is not None:
                    (results / Path(member.name).name).write_bytes(content.read())

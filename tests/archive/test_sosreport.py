"""Sosreports and other collections of mount tables, as directories and as tar archives, honest and hostile."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mntscope import MntscopeError, Snapshot, TargetError, load
from mntscope.model import Origin, Owner, Process
from tests.archive.test_files import damaged, outcome

HOST = b"22 1 8:1 / / rw shared:1 - ext4 /dev/vda rw\n25 22 0:21 / /proc rw shared:2 - proc proc rw\n"
BOX = b"40 39 8:1 / / rw master:1 - ext4 /dev/vda rw\n41 40 0:33 / /proc rw - proc proc rw\n"
# The same namespace, through a process whose root directory is /proc.
CHROOT = b"41 40 0:33 / / rw - proc proc rw\n"
ID = "0b" * 32

MACHINE = {
    "proc/1/mountinfo": HOST,
    "proc/1/comm": b"systemd\n",
    "proc/200/mountinfo": HOST,
    "proc/300/mountinfo": CHROOT,
    "proc/310/mountinfo": BOX,
    "proc/310/cgroup": f"0::/docker/{ID}\n".encode(),
    "proc/300/cgroup": f"0::/docker/{ID}\n".encode(),
    "proc/301/mountinfo": b"",
    "proc/302/mountinfo": b"garbage\n",
    "proc/version": b"Linux version 5.14.0-570.el9.x86_64 (gcc) #1 SMP\n",
    "sos_commands/kernel/sysctl_-a": b"fs.inotify.max = 3\nfs.mount-max = 100000\n",
    "sos_commands/process/ps_axo_pid_ppid_user_group_lwp_nlwp_start_time_comm_cgroup": (
        b"    PID    PPID USER     GROUP        LWP NLWP START COMMAND         CGROUP\n"
        b"      1       0 root     root           1    1 09:00 old             0::/init.scope\n"
        b"    200       1 root     root         200    1 09:00 my daemon       12:cpu,cpuacct:/,0::/a.service\n"
        b"    310       1 root     root         310    1 09:00 web             0::/elsewhere\n"
    ),
    "etc/passwd": b"root:x:0:0::/root:/bin/sh\n",
    "etc/os-release": b'NAME="Red Hat Enterprise Linux"\nPRETTY_NAME="Red Hat Enterprise Linux 9.6 (Plow)"\n',
}


def directory(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def tar(files: Mapping[str, bytes], top: str = "sosreport-web-2026/", layout: int = tarfile.PAX_FORMAT) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=layout) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(top + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


def member(kind: bytes, content: bytes) -> bytes:
    """One header with what it holds, whatever that is."""
    header = tarfile.TarInfo("member")
    header.type, header.size = kind, len(content)
    return header.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)


def load_bytes(tmp_path: Path, data: bytes) -> Snapshot:
    path = tmp_path / "archive"
    path.write_bytes(data)
    return load(path)


def seen(snapshot: Snapshot) -> Snapshot:
    """Without the problems, which say where they were met."""
    return Snapshot(snapshot.views, snapshot.host_label, snapshot.kernel, mount_max=snapshot.mount_max)


class TestMachine:
    def test_a_view_a_namespace_with_all_its_processes(self, tmp_path: Path) -> None:
        snapshot = load(directory(tmp_path, MACHINE))
        assert [(view.label, [p.pid for p in view.namespace.processes]) for view in snapshot.views] == [
            ("host", [1, 200]),
            ("300", [300, 310]),
        ]
        assert snapshot.host_label == "host"
        assert snapshot.mountinfo("host") == HOST
        assert snapshot.view(200).label == "host"

    def test_a_namespace_is_shown_by_the_process_that_sees_most_of_it(self, tmp_path: Path) -> None:
        view = load(directory(tmp_path, MACHINE)).view(300)
        assert view.process is not None
        assert view.process.pid == 310
        assert len(view.mounts) == 2

    def test_who_is_who(self, tmp_path: Path) -> None:
        snapshot = load(directory(tmp_path, MACHINE))
        assert snapshot.view(300).namespace.owner == Owner("docker", ID, id=ID)
        systemd, daemon = snapshot.host.namespace.processes
        assert systemd == Process(1, comm="systemd", cgroup="0::/init.scope\n")
        # ps tells what /proc was not asked for.
        assert daemon == Process(200, comm="my daemon", cgroup="12:cpu,cpuacct:/\n0::/a.service\n")

    def test_what_sos_has_instead(self, tmp_path: Path) -> None:
        files = {
            "proc/310/mountinfo": BOX,
            "proc/310/status": b"Name:\tmy web\nUmask:\t0022\n",
            "proc/310/cpuset": f"/docker/{ID}\n".encode(),
            "sos_commands/docker/docker_ps_-a": (
                b"CONTAINER ID   IMAGE    COMMAND   CREATED      STATUS   PORTS     NAMES\n"
                b'0b0b0b0b0b0b   nginx    "web"     2 days ago   Up                 web-1\n'
                b"0c0c0c0c0c0c   nginx\n"
            ),
        }
        view = load(directory(tmp_path, files)).host
        assert view.process == Process(310, comm="my web", cgroup=f"0:cpuset:/docker/{ID}\n")
        assert view.namespace.owner == Owner("docker", "web-1", id=ID)

    def test_the_kernel_and_its_limit(self, tmp_path: Path) -> None:
        snapshot = load(directory(tmp_path, MACHINE))
        assert (snapshot.kernel, snapshot.mount_max) == ("5.14.0-570.el9.x86_64", 100_000)
        other = {"1/mountinfo": HOST, "sos_commands/kernel/uname_-a": b"Linux web 6.1.0-13 #1\n"}
        loaded = load(directory(tmp_path / "other", other))
        assert (loaded.kernel, loaded.kernel_version) == ("6.1.0-13", "#1")
        assert (snapshot.kernel_version, snapshot.distribution) == ("#1 SMP", "Red Hat Enterprise Linux 9.6 (Plow)")

    def test_whose_machine_it_is_and_of_when(self, tmp_path: Path) -> None:
        files = {
            "sos_commands/host/hostname": b"web-1\n",
            "sos_commands/date/date_--utc": b"Thu Jan  1 00:00:07 UTC 2026\n",
            "sos_commands/date/date": b"Thu Jan  1 01:00:07 CET 2026\n",
            "etc/machine-id": b"3d1219c7c4c5404aaa1f6d2a48adfda4\n",
            "proc/sys/kernel/random/boot_id": b"8d6c0b0e-56d8-4a34-a2c5-0a6c2b0f7d11\n",
        }
        for number, snapshot in enumerate((
            load(directory(tmp_path / "directory", MACHINE | files)),
            load_bytes(tmp_path, tar(MACHINE | files)),
        )):  # fmt: skip
            assert snapshot.origin == Origin("web-1", "b4bf7cccae6b4bfa89c4022acb08da87", 1_767_225_607), number
            assert snapshot.boot_id == "8d6c0b0e-56d8-4a34-a2c5-0a6c2b0f7d11"
        assert load(directory(tmp_path / "other", MACHINE)).origin == Origin()

    @pytest.mark.parametrize(
        ("files", "origin"),
        [
            ({"sos_commands/kernel/uname_-a": b"Linux web-2 6.1.0-13 #1\n"}, Origin("web-2")),
            ({"etc/hostname": b"web-3\n", "proc/sys/kernel/hostname": b"web-4\n"}, Origin("web-4")),
            ({"date": b"Wed Dec 31 23:59:59 UTC 1969\n", "etc/hostname": b"a b\n"}, Origin()),
            ({"date": b"Thu Jan  1 01:00:07 CET 2026\n"}, Origin()),
            ({"date": b"Tue Feb 30 00:00:00 UTC 2026\n"}, Origin()),
            ({"date": b"Thu Jan  1 00:00:00 UTC 0000\n"}, Origin()),
            ({"date": b"Thu Jan  1 00:00:00 UTC 1970\n"}, Origin(time=0)),
            ({"etc/hostname": b"\x1b[31mred\n", "etc/machine-id": b"uninitialized\n"}, Origin()),
            ({"etc/hostname": b"a" * 254, "etc/machine-id": bytes(1 << 16)}, Origin()),
            ({"etc/hostname": b"\xff" * (1 << 16), "proc/sys/kernel/random/boot_id": b"\0" * 99}, Origin()),
        ],
    )  # fmt: skip
    def test_what_makes_no_sense_tells_nothing(
        self, tmp_path: Path, files: Mapping[str, bytes], origin: Origin
    ) -> None:
        snapshot = load(directory(tmp_path, {"1/mountinfo": HOST, **files}))
        assert (snapshot.origin, snapshot.boot_id) == (origin, None)

    def test_what_could_not_be_read_is_said(self, tmp_path: Path) -> None:
        empty, garbage = sorted(map(str, load(directory(tmp_path, MACHINE)).not_seen))[::-1]
        garbage, empty = (garbage, empty) if "302" in garbage else (empty, garbage)
        assert empty == f"{tmp_path}: empty mount tables, of 1 process that had ended"
        assert garbage.startswith(f"{tmp_path}: 302/mountinfo:1:1: ")

    def test_tables_with_names(self, tmp_path: Path) -> None:
        files = {"web.mountinfo": BOX, "host.mountinfo": HOST, "sub/dir.mountinfo": HOST}
        snapshot = load(directory(tmp_path, files))
        assert [view.label for view in snapshot.views] == ["host", "web"]
        assert snapshot.host_label == "host"

    def test_no_two_views_bear_one_label(self, tmp_path: Path) -> None:
        files = {"1/mountinfo": HOST, "7/mountinfo": BOX, "7.mountinfo": BOX, "host.mountinfo": HOST}
        assert [view.label for view in load(directory(tmp_path, files)).views] == ["host", "7", "7*", "host*"]

    def test_of_several_machines_the_topmost_is_read(self, tmp_path: Path) -> None:
        files = {"a/b/proc/1/mountinfo": BOX, "b/proc/1/mountinfo": HOST, "b/proc/1/task/1/mountinfo": BOX}
        snapshot = load_bytes(tmp_path, tar(files, top=""))
        assert snapshot.mountinfo("host") == HOST
        assert [str(problem) for problem in snapshot.not_seen] == [
            f"{tmp_path}/archive: 1 mount tables in other directories are not read (a/b/)"
        ]

    def test_proc_itself(self) -> None:
        snapshot = load("/proc")
        assert snapshot.view(os.getpid()).mounts
        assert snapshot.mount_max == int(Path("/proc/sys/fs/mount-max").read_text())


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "zstd": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
    "two streams of bzip2": lambda data: bz2.compress(data[:700]) + bz2.compress(data[700:]),
    "two streams of xz": lambda data: lzma.compress(data[:700]) + bytes(8) + lzma.compress(data[700:]) + bytes(4),
    "two streams of zstd": lambda data: zstandard.compress(data[:700]) + zstandard.compress(data[700:]),
}


class TestTar:
    @pytest.mark.parametrize("packed", PACKED)
    def test_it_is_read_as_the_directory_is(self, tmp_path: Path, packed: str) -> None:
        expected = seen(load(directory(tmp_path / "unpacked", MACHINE)))
        assert seen(load_bytes(tmp_path, PACKED[packed](tar(MACHINE)))) == expected

    @pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    def test_each_format_and_long_names(self, tmp_path: Path, layout: int) -> None:
        top = "/".join(["x" * 40] * (2 if layout == tarfile.USTAR_FORMAT else 12)) + "/"
        assert load_bytes(tmp_path, tar(MACHINE, top, layout)).view(310).label == "300"

    @pytest.mark.parametrize("layout", ["v7", "oldgnu", "gnu", "ustar", "posix"])
    def test_what_tar_itself_writes(self, tmp_path: Path, layout: str) -> None:
        if shutil.which("tar") is None:
            pytest.skip("tar is not installed")
        directory(tmp_path / "sos", MACHINE)
        (tmp_path / "sos/proc/self").symlink_to("1")
        with open(tmp_path / "sos/holes", "wb") as holes:
            for place in range(0, 1 << 22, 1 << 16):
                holes.seek(place)
                holes.write(b"x")
        sparse = ["--sparse"] if layout not in ("v7", "ustar") else []
        command = ["tar", "--create", *sparse, f"--format={layout}", "-C", str(tmp_path), "-f"]
        subprocess.run([*command, str(tmp_path / "a.tar"), "./sos"], check=True)
        assert seen(load(tmp_path / "a.tar")) == seen(load(tmp_path / "sos"))

    def test_a_packed_table(self, tmp_path: Path) -> None:
        (tmp_path / "web.mountinfo").write_bytes(gzip.compress(HOST))
        assert load(tmp_path / "web.mountinfo").mountinfo("web") == HOST

    def test_nothing_of_interest(self, tmp_path: Path) -> None:
        with pytest.raises(TargetError, match="it holds no mount table; PID/mountinfo and NAME"):
            load_bytes(tmp_path, tar({"etc/passwd": b""}))

    @pytest.mark.parametrize("magic", [b"\x1f\x9d", b"LZIP", b"\x04\x22\x4d\x18"])
    def test_a_compression_that_is_not_read(self, tmp_path: Path, magic: bytes) -> None:
        with pytest.raises(TargetError, match="which is not read here; unpack it first"):
            load_bytes(tmp_path, magic + bytes(600))


class TestHostileArchives:
    def test_links_and_names_that_lead_out_are_passed_over(self, tmp_path: Path) -> None:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as archive:

            def add(name: str, content: bytes = b"", **fields: object) -> None:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                for field, value in fields.items():
                    setattr(member, field, value)
                archive.addfile(member, io.BytesIO(content))

            add("../proc/3/mountinfo", BOX)
            add("x/../proc/4/mountinfo", BOX)
            add("proc/5/mountinfo", type=tarfile.SYMTYPE, linkname="/etc/shadow")
            add("proc/6/mountinfo", type=tarfile.LNKTYPE, linkname="proc/1/mountinfo")
            add("proc/7/mountinfo", type=tarfile.FIFOTYPE)
            add("/proc/1/mountinfo", HOST)
        snapshot = load_bytes(tmp_path, data.getvalue())
        assert [(view.label, len(view.namespace.processes)) for view in snapshot.views] == [("host", 1)]

    def test_links_in_a_directory_are_not_followed(self, tmp_path: Path) -> None:
        directory(tmp_path / "real", MACHINE)
        root = directory(tmp_path / "sos", {"proc/1/mountinfo": HOST})
        (root / "proc/2").symlink_to(tmp_path / "real/proc/310")
        (root / "proc/3").mkdir()
        (root / "proc/3/mountinfo").symlink_to("/etc/shadow")
        (root / "sos_commands").symlink_to(tmp_path / "real/sos_commands")
        os.mkfifo(root / "pipe.mountinfo")
        assert load(root) == Snapshot(load(root).views[:1], "host")

    @pytest.mark.parametrize("packed", ["gzip", "bzip2", "xz", "zstd"])
    def test_a_bomb_is_not_unpacked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: str) -> None:
        monkeypatch.setattr("mntscope.archive.files.LARGEST_ARCHIVE", 1 << 22)
        files = {"proc/1/mountinfo": HOST, "var/log/messages": bytes(1 << 23)}
        with pytest.raises(TargetError, match="larger than 4 MiB when unpacked"):
            load_bytes(tmp_path, PACKED[packed](tar(files)))

    def test_tables_that_are_too_many_or_too_large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mntscope.archive.files.LARGEST", 1 << 12)
        for files in ({"1/mountinfo": HOST * 100}, {f"{pid}/mountinfo": HOST * pid for pid in range(1, 30)}):
            with pytest.raises(TargetError, match="larger than 0 MiB"):
                load_bytes(tmp_path, tar(files))
        # The same table for all processes is one.
        assert len(load_bytes(tmp_path, tar({f"{pid}/mountinfo": HOST for pid in range(1, 99)})).views) == 1
        monkeypatch.setattr("mntscope.archive.files.MOST_FILES", 50)
        with pytest.raises(TargetError, match="more than 50 files"):
            load_bytes(tmp_path, tar({f"{pid}/mountinfo": HOST for pid in range(1, 99)}))

    @pytest.mark.parametrize("kind", [b"L", b"x"])
    def test_a_header_that_claims_to_be_huge(self, tmp_path: Path, kind: bytes) -> None:
        member = tarfile.TarInfo("name")
        member.type, member.size = kind, 1 << 40
        with pytest.raises(MntscopeError, match="it is damaged: a name of 1099511627776 bytes"):
            load_bytes(tmp_path, member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))

    def test_a_header_that_is_cut_off_or_damaged_is_no_end(self, tmp_path: Path) -> None:
        whole = tar({"proc/1/mountinfo": HOST, "proc/310/mountinfo": BOX})
        # A header and what it holds, and then the second header.
        second = 512 + 512
        for data in (whole[: second + 100], whole[:second] + b"\xff" + whole[second + 1 :]):
            with pytest.raises(MntscopeError, match=r"cut off|damaged"):
                load_bytes(tmp_path, data)

    @pytest.mark.parametrize("bomb", ["sparse map", "digits"])
    def test_headers_that_take_long_to_read_for_others(self, tmp_path: Path, bomb: str) -> None:
        if bomb == "sparse map":
            # 42 KiB packed: the numbers of six million pieces of a sparse file.
            records = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n21 GNU.sparse.name=a\n"
            members = member(b"x", records) + member(b"0", b"3000000\n" + b"1000\n" * 6_000_000)
        else:
            members = member(b"x", b"1" * (1 << 16)) * 50
        data = gzip.compress(members + tar({"proc/1/mountinfo": HOST}))
        assert len(data) < 1 << 17
        begun = time.process_time()
        if bomb == "sparse map":
            assert load_bytes(tmp_path, data).mountinfo("host") == HOST
        else:
            with pytest.raises(MntscopeError, match="damaged"):
                load_bytes(tmp_path, data)
        assert time.process_time() - begun < 5

    @pytest.mark.parametrize("size", [b"\xff" * 12, b"\x80" + b"\xff" * 11, b"0000000009 \0", b"-0000000001\0"])
    def test_a_size_that_is_none(self, tmp_path: Path, size: bytes) -> None:
        block = bytearray(tarfile.TarInfo("proc/1/mountinfo").tobuf())
        block[124:136] = size
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        with pytest.raises(MntscopeError, match=r"cut off|damaged"):
            load_bytes(tmp_path, bytes(block) + bytes(2048))

    @pytest.mark.parametrize("packed", ["plain", "gzip", "bzip2", "xz", "zstd"])
    def test_cut_short_or_damaged_anywhere(self, tmp_path: Path, seed: int, packed: str) -> None:
        whole = PACKED[packed](tar(MACHINE))
        expected = load_bytes(tmp_path, whole)
        for number, data in enumerate(damaged(whole, seed)):
            (tmp_path / "archive").write_bytes(data)
            found = outcome(tmp_path / "archive")
            # Tar itself has checksums of its headers only, and what follows its end is nothing.
            assert found in (expected, "one line") or (packed == "plain" and (number >= 100 or not any(data[-512:])))

    @given(st.binary(max_size=2048), st.integers(0, 4000))
    def test_anything_in_an_archive(self, tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int) -> None:
        data = tar(MACHINE)
        path = tmp_path_factory.mktemp("noise") / "archive"
        path.write_bytes(data[:place] + noise + data[place + len(noise) :])
        assert outcome(path) != "many lines"

    @given(st.dictionaries(st.sampled_from(sorted(MACHINE)), st.binary(max_size=200)))
    def test_anything_in_the_files(self, tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
        path = tmp_path_factory.mktemp("files") / "archive"
        path.write_bytes(tar(files))
        assert outcome(path) != "many lines"

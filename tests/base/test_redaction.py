"""Secrets in mount tables: out, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mntscope import format_mountinfo, parse_mountinfo
from mntscope.base import redaction
from mntscope.base.records import replace
from mntscope.base.redaction import redact
from mntscope.model import Mount
from tests.support.strategies import tables


def line(source: str = "src", options: str = "rw", fs_type: str = "cifs", place: str = "/mnt") -> bytes:
    return f"30 1 0:40 / {place} rw,relatime shared:1 - {fs_type} {source} {options}\n".encode()


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ("rw,password=hunter2,uid=0", "rw,password=***,uid=0"),
        ("rw,password2=a\\040b,uid=0", "rw,password2=***,uid=0"),
        ("passwd=x", "passwd=***"),
        ("rw,pass=x,PASS=y", "rw,pass=***,PASS=***"),
        ("rw,name=admin,secret=AQBx==,acl", "rw,name=admin,secret=***,acl"),
        ("rw,username=alice%hunter2,uid=0", "rw,username=alice%***,uid=0"),
        ("rw,url=https://u:p@h/x", "rw,url=https://u:***@h/x"),
    ],
)
def test_options(options: str, shown: str) -> None:
    assert redact(line(options=options)) == line(options=shown)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("//alice:hunter2@server/share", "//alice:***@server/share"),
        ("http://alice:hunter2@dav/", "http://alice:***@dav/"),
        ("curlftpfs\\043ftp://alice:p@ss@ftp/", "curlftpfs\\043ftp://alice:***@ftp/"),
        ("redis://:hunter2@h:6379/1", "redis://:***@h:6379/1"),
        ("alice:hunter2@host:/dir", "alice:***@host:/dir"),
        (":sftp,host=h,pass=x:dir", ":sftp,host=h,pass=***:dir"),
        ("https://h/x?a=b&sig=abc", "https://h/x?a=b&sig=***"),
    ],
)
def test_sources(source: str, shown: str) -> None:
    assert redact(line(source)) == line(shown)


@pytest.mark.parametrize(
    "kept",
    [
        line("host:/pass=x@y"),
        line("alice@host:dir", fs_type="fuse.sshfs"),
        line("10.0.0.1:6789:/vol@1"),
        line("[fe80::1]:/x@y"),
        line("http://host:8080/a@b"),
        line("pool:a@daily", fs_type="zfs"),
        line(place="/srv/password=hunter2"),
        line(place="/srv/user:pass@host"),
        line(options="rw,subvol=/a,pass=b", fs_type="btrfs"),
        line(options="rw,lowerdir=/a\\134,pass=b:/c:d@e", fs_type="overlay"),
        line(options="rw,secret=<hidden>,credentials=/etc/c,secretfile=/s,passwd_file=/p,bypass", fs_type="ceph"),
    ],
)
def test_nothing_else(kept: bytes) -> None:
    assert redact(kept) == kept


def test_equal_stays_equal_and_no_secret_is_left() -> None:
    one, other = (redact(line(options=f"rw,password={secret},uid=0")) for secret in ("hunter2", "correct"))
    assert one == other


@given(st.binary())
def test_twice_is_once_and_lines_stay_lines(table: bytes) -> None:
    once = redact(table)
    assert redact(once) == once
    assert once.count(b"\n") == table.count(b"\n")


@given(tables())
def test_a_table_without_a_sign_of_a_secret_stays_as_it_is(mounts: list[Mount]) -> None:
    table = format_mountinfo(mounts)
    assume(not any(sign in table.lower() for sign in redaction._SIGNS))
    assert redact(table) == table


@given(tables())
def test_nothing_but_the_source_and_the_options_is_touched(mounts: list[Mount]) -> None:
    def rest(mounts: Iterable[Mount]) -> list[Mount]:
        return [replace(mount, source="", options=(), super_options=()) for mount in mounts]

    assert rest(parse_mountinfo(redact(format_mountinfo(mounts)))) == rest(mounts)

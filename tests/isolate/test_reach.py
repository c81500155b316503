"""A way back into a namespace that was captured, on kernels that do not list them too; and whether it has ended."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mntscope.isolate import reach
from mntscope.kernel import syscalls
from mntscope.live import capture
from mntscope.live.procfs import open_proc
from tests.support.throwaway import Host


@pytest.fixture
def old_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """One before Linux 6.12, which lists no namespaces."""
    monkeypatch.setattr(reach, "every_namespace", lambda _: iter(()))
    monkeypatch.setattr(reach, "lists_all", lambda _: False)


@pytest.mark.usefixtures("old_kernel", "one_processor")
def test_a_namespace_that_only_a_bind_mount_keeps_is_found_where_it_was_found(host: Host, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.touch()
    target = host.unshare("private")
    inode = target.namespace("mnt")
    host.call(syscalls.mount, None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    host.call(syscalls.mount, f"/proc/{target.pid}/ns/mnt", str(kept), None, syscalls.MS_BIND)
    host.kill(target)
    views = {view.label: view for view in capture(everything=True).views}
    view = next(view for view in views.values() if view.namespace.inode == inode)
    assert not view.namespace.processes
    with open_proc() as proc:
        fd = reach.namespace_of(proc, view, views)
        assert fd is not None
        assert os.fstat(fd).st_ino == inode
        os.close(fd)


@pytest.mark.parametrize("old", [True, False])
def test_it_has_ended_where_that_is_known(host: Host, request: pytest.FixtureRequest, old: bool) -> None:
    target = host.unshare("private")
    views = {view.label: view for view in capture(everything=True).views}
    view = next(view for view in views.values() if view.namespace.inode == target.namespace("mnt"))
    if old:
        request.getfixturevalue("old_kernel")
    with open_proc() as proc:
        if old:
            assert not reach.has_ended(proc, view), "it lives"
        host.kill(target)
        # Another program that looks at all namespaces may keep it for a moment.
        given_up = time.monotonic() + 20
        while (fd := reach.namespace_of(proc, view, views)) is not None:
            os.close(fd)
            assert time.monotonic() < given_up
            time.sleep(0.1)
        assert reach.has_ended(proc, view)

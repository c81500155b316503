"""``docker run`` and ``podman run``."""

from __future__ import annotations

import pytest

from mntscope.parse.manifests.containers import IdMapping, Where
from tests.support.reading_manifests import container, mount, read, said


@pytest.mark.parametrize(
    ("options", "kind", "source", "destination", "propagation"),
    [
        ("-v /a:/b", "bind", "/a", "/b", None),
        ("-v=/a:/b:ro,rslave", "bind", "/a", "/b", "rslave"),
        ("-v/a:/b:shared", "bind", "/a", "/b", "shared"),
        ("--volume=/a:/b:rprivate,rshared", "bind", "/a", "/b", "rshared"),
        ("-v data:/b", "volume", None, "/b", None),
        ("-v /b", "volume", None, "/b", None),
        ("-v '/with blank:/b'", "bind", "/with blank", "/b", None),
        ("-v $PWD/a:/b", "bind", "./a", "/b", None),
        ('-v "$(pwd)":/b', "bind", ".", "/b", None),
        ("--mount type=bind,src=/a,dst=/b,bind-propagation=rshared", "bind", "/a", "/b", "rshared"),
        ("--mount type=volume,source=data,target=/b", "volume", None, "/b", None),
        ("--mount 'type=bind,\"source=/a,1\",target=/b'", "bind", "/a,1", "/b", None),
        ("--mount type=tmpfs,destination=/b", "filesystem", None, "/b", None),
        ("--tmpfs /b:size=1m", "filesystem", "tmpfs", "/b", None),
        ("-itv /a:/b", "bind", "/a", "/b", None),
        ("-e X=1 -p 80:80 --name=n -v /a:/b", "bind", "/a", "/b", None),
    ],
)
@pytest.mark.parametrize(
    "program", ["docker run", "podman create", "sudo -E docker container run", "podman --root /r run"]
)
def test_every_way_to_ask_for_a_mount(
    program: str, options: str, kind: str, source: str | None, destination: str, propagation: str | None
) -> None:
    spec = mount(f"{program} {options} image cmd -v /not:/mounted")
    assert (spec.kind, spec.source, spec.destination, spec.propagation) == (kind, source, destination, propagation)


def test_a_word_is_found_in_its_line_and_column() -> None:
    spec = mount("docker run \\\n  -v /a:/b:ro,rshared x")
    assert (spec.where, spec.source_where) == (Where("f", 2, 6), Where("f", 2, 6))
    assert spec.propagation_where == Where("f", 2, 15)


def test_privileges_and_namespaces() -> None:
    spec = container(
        "podman run --name n --privileged --pid=host --net container:x --uts host --read-only -t --device /dev/a:/dev/b"
        " --uidmap 0:100000:65536 --security-opt unmask=ALL --pod p image"
    )
    assert (spec.name, spec.kind, spec.group) == ("n", "podman-run", "p")
    assert (spec.privileged, spec.sys_admin, spec.readonly_root, spec.terminal) == (True, True, True, True)
    assert spec.host_namespaces == {"pid", "uts"}
    assert spec.joined_namespaces == (("network", "container:x"),)
    assert spec.user_namespace is not None
    assert spec.user_namespace.uids == (IdMapping(0, 100000, 65536),) == spec.user_namespace.gids
    assert (spec.masked_paths, spec.devices) == ((), ("/dev/b",))


def test_a_rootfs_and_a_flag_that_is_false() -> None:
    spec = container("podman run --rootfs --privileged=false /srv/root:O sh")
    assert (spec.rootfs, spec.name, spec.privileged) == ("/srv/root", "/srv/root", False)


@pytest.mark.parametrize("userns", ["auto", "keep-id:uid=1", "nomap", "private"])
def test_a_user_namespace_that_podman_chooses(userns: str) -> None:
    spec = container(f"podman run --userns={userns} x")
    assert spec.user_namespace is not None
    assert container("podman run --userns=host x").host_namespaces == {"user"}


def test_the_volumes_of_a_container_that_was_run_before() -> None:
    manifest = read("docker create --name a -v /x:/x --tmpfs /t i\ndocker run --volumes-from a:ro i\n")
    mounts = manifest.containers[1].mounts
    assert [(spec.source, spec.read_only, spec.where.line) for spec in mounts] == [("/x", True, 2)]
    assert said(read("docker run --volumes-from b i")) == ["uncertain 1:27 the volumes of 'b' are not in this text"]


def test_a_script_is_read_and_not_carried_out() -> None:
    manifest = read("""
        #!/bin/sh
        for i in 1 2; do echo $i; done
        docker run -v /a:/b x   # a comment
        if true; then docker stop x; fi
        docker run -v /c:/d y | cat
        $ docker run --name z z
    """)
    assert [spec.name for spec in manifest.containers] == ["x", "z"]
    assert [remark.where.line for remark in manifest.remarks] == [5]


@pytest.mark.parametrize(
    ("line", "remark"),
    [
        ("docker run -v a:b:c:d x", "error 1:15 'a:b:c:d': it is [SOURCE:]DESTINATION[:OPTIONS]"),
        ("docker run --frob x", "error 1:12 the option '--frob' is not known"),
        ("docker run -v", "error 1:12 the option '-v' takes a value"),
        ("docker run -d", "error 1:8 docker run of no image"),
        ("docker run 'x", "error 1:12 the quote ' is never closed"),
        ("docker run --mount type=frob,target=/a x", "error 1:20 a mount of the type 'frob', which is not known"),
        ("docker run --mount type=bind,target=/a x", "error 1:20 'type=bind,target=/a': a bind takes a source"),
        ("docker run --mount type=bind,src=/a,dst=/b,bind-propagation=up x",
         "error 1:61 a propagation type 'up', which is not known"),
        ("docker run -v $DATA:/d x", "uncertain 1:15 '${DATA}' depends on what its variables are"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(line: str, remark: str) -> None:
    assert remark in said(read(line))

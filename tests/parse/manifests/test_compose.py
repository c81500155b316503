"""Compose files."""

from __future__ import annotations

import pytest

from mntscope.parse.manifests.containers import Where
from mntscope.parse.manifests.interpolation import interpolate
from tests.support.reading_manifests import container, mount, read, said


def service(volume: str, volumes: str = "") -> str:
    return f"services:\n  web:\n    volumes:\n    - {volume}\n{volumes}"


@pytest.mark.parametrize(
    ("written", "kind", "source", "destination", "propagation", "read_only"),
    [
        ("/a:/b", "bind", "/a", "/b", None, False),
        ("./a:/b:ro", "bind", "./a", "/b", None, True),
        ("/a:/b:ro,rslave,z", "bind", "/a", "/b", "rslave", True),
        ("/cache", "volume", None, "/cache", None, False),
        ("{type: bind, source: /a, target: /b, bind: {propagation: rshared}}", "bind", "/a", "/b", "rshared", False),
        ("{type: bind, source: /a, target: /b, read_only: true}", "bind", "/a", "/b", None, True),
        ("{type: tmpfs, target: /b, tmpfs: {size: 64}}", "filesystem", None, "/b", None, False),
    ],
)
def test_both_syntaxes(
    written: str, kind: str, source: str | None, destination: str, propagation: str | None, read_only: bool
) -> None:
    spec = mount(service(written))
    assert (spec.kind, spec.source, spec.destination) == (kind, source, destination)
    assert (spec.propagation, spec.read_only) == (propagation, read_only)
    assert spec.where == Where("f", 4, 7)


def test_a_named_volume_may_be_a_bind_of_the_host() -> None:
    local = "volumes:\n  data: {driver_opts: {type: none, o: bind, device: /srv/data}}\n"
    spec = mount(service("data:/data", local))
    assert (spec.kind, spec.volume, spec.source, spec.source_where) == (
        "volume",
        "data",
        "/srv/data",
        Where("f", 6, 53),
    )
    assert mount(service("data:/data", "volumes:\n  data:\n")).source is None


def test_privileges_and_namespaces() -> None:
    spec = container("""
        name: shop
        services:
          web: {privileged: true, pid: host, ipc: "service:db", userns_mode: host, cgroup: host, read_only: true,
                security_opt: ["systempaths=unconfined"], devices: ["/dev/fuse", "/dev/a:/dev/b:r"], tty: true}
    """)
    assert (spec.name, spec.group, spec.where) == ("web", "compose shop", Where("f", 3, 3))
    assert spec.host_namespaces == {"pid", "user", "cgroup"}
    assert spec.joined_namespaces == (("ipc", "service:db"),)
    assert (spec.privileged, spec.sys_admin, spec.readonly_root, spec.terminal) == (True, True, True, True)
    assert (spec.masked_paths, spec.devices) == ((), ("/dev/fuse", "/dev/b"))


def test_one_service_extends_another() -> None:
    manifest = read("""
        services:
          base: {privileged: true, volumes: ["/a:/a", "/b:/b"]}
          web: {extends: {service: base}, privileged: false, volumes: ["/c:/b"]}
    """)
    _, web = manifest.containers
    assert not web.privileged
    assert [(spec.source, spec.destination) for spec in web.mounts] == [("/a", "/a"), ("/c", "/b")]


@pytest.mark.parametrize(
    ("services", "remark"),
    [
        ("{a: {extends: b}, b: {extends: a}}",
         "error 1:42 the service 'a' extends itself, or more than 16 others"),
        ("{a: {extends: c}}", "error 1:25 no service is called 'c'"),
        ("{a: {extends: {file: x.yaml, service: c}}}",
         "left-out 1:25 extends a service of another file: give what docker compose config prints"),
        ("{a: {volumes_from: [a]}}", "error 1:31 'a' has its volumes from itself, or from more than 16"),
        ("{a: {volumes: ['a:b:c:d']}}", "error 1:26 'a:b:c:d': it is [SOURCE:]DESTINATION[:OPTIONS]"),
        ("{a: {volumes: ['/a:b']}}", "error 1:26 'b': a path in the container begins with /"),
        ("{a: {volumes: ['x:/b']}}", "error 1:26 no volume is called 'x'"),
        ("{a: {volumes: [{type: frob, target: /a}]}}", "error 1:26 a volume of the type 'frob', which is not known"),
        ("{a: {volumes: ['C:\\x:/b']}}", "left-out 1:26 'C:\\\\x:/b': a path of Windows"),
        ("{a: 7}", "error 1:15 this is the number 7, and should be a mapping"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(services: str, remark: str) -> None:
    assert remark in said(read(f"services: {services}"))


@pytest.mark.parametrize(
    ("written", "text", "variables"),
    [
        ("/a:/b", "/a:/b", ()),
        ("${X:-/y}:/b", "/y:/b", ("X",)),
        ("${X-/y}/z", "/y/z", ("X",)),
        ("$X:/b", "$X:/b", ("X",)),
        ("${X:?it must be set}:/b", "${X}:/b", ("X",)),
        ("${X:+/set}:/b", ":/b", ("X",)),
        ("$$X", "$X", ()),
        ("${X:-${Y:-/z}}", "/z", ("X", "Y")),
        ("${X:-", "${X:-", ("X",)),
    ],
)
def test_what_is_known_of_variables(written: str, text: str, variables: tuple[str, ...]) -> None:
    assert interpolate(written) == (text, variables)


def test_a_default_is_taken_and_told() -> None:
    manifest = read(service("${DATA:-/srv}:/b:rslave"))
    ((spec,),) = (each.mounts for each in manifest.containers)
    assert (spec.source, spec.propagation) == ("/srv", "rslave")
    assert said(manifest) == ["uncertain 4:7 '${DATA:-/srv}:/b:rslave' is read as '/srv:/b:rslave', unless DATA is set"]


def test_a_source_that_only_the_environment_knows_is_not_guessed() -> None:
    manifest = read(service("$DATA:/b"))
    assert [spec.mounts[0].source for spec in manifest.containers] == [None]
    assert [remark.kind for remark in manifest.remarks] == ["uncertain"]

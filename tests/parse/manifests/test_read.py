"""Which language a file is in, and what is in none."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mntscope.parse.manifests.containers import Kind, Manifest
from mntscope.parse.manifests.read import read_manifest
from mntscope.parse.manifests.reading import MOST_MOUNTS, MOST_REMARKS
from mntscope.parse.manifests.yaml_documents import LARGEST
from tests.support.manifests import manifests
from tests.support.reading_manifests import said

POD = b"apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c}]}\n"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (POD, "kubernetes"),
        (b"\xef\xbb\xbf" + POD, "kubernetes"),
        (POD.decode().encode("utf-16"), "kubernetes"),
        (b'{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "c"}]}}', "kubernetes"),
        (b"services: {a: {image: i}}\n", "compose"),
        (b"# a comment\n\n  docker run x\n", "docker-run"),
        (b"podman run x", "podman-run"),
        (b"#!/bin/sh\nset -e\ndocker \\\n  run x\n", "docker-run"),
        (b"# a comment\n[Unit]\n[Service]\nExecStart=/x\n", "systemd"),
        (b"[Container]\nImage=i\n", "quadlet"),
    ],
)
@pytest.mark.parametrize("name", ["-", "pod.yaml", "web.service", "config.json"])
def test_the_language_is_seen_by_what_is_written(data: bytes, kind: Kind, name: str) -> None:
    assert [spec.kind for spec in read_manifest(data, name).containers] == [kind]


@pytest.mark.parametrize(
    ("data", "remark"),
    [
        (b"", "error 1:1 nothing is in it"),
        (b" \n# a comment\n", "error 1:1 nothing is in it"),
        (b"\0" * 100, "error 1:1 YAML cannot hold '\\x00' as it is; write it as an escape in double quotes"),
        (b"a: b\n", "left-out 1:1 neither an object of Kubernetes (apiVersion, kind) nor a compose file (services)"),
        (b"kind: Pod\n", "left-out 1:1 an object of Kubernetes takes both apiVersion and kind"),
        (b"hello\n", "left-out 1:1 no mapping, so neither an object of Kubernetes nor a compose file"),
        (b"[Service]\nExecStart=\0\n", "error 2:11 a NUL"),
        (b"docker run -v /\xff:/a x\n", "error 1:16 no UTF-8: the byte 0xff"),
        (b"a" * (LARGEST + 1), "error 1:1 16777217 bytes, and no manifest has more than 16 MiB; give it in parts"),
        (b"docker run x #" + b"a" * (1 << 20),
         "error 1:1 1048590 bytes, and no unit or script has more than 1 MiB; give it in parts"),
    ],
)  # fmt: skip
def test_what_is_no_manifest_is_one_line(data: bytes, remark: str) -> None:
    manifest = read_manifest(data, "f")
    assert (manifest.containers, said(manifest)) == ((), [remark])


def test_fifty_megabytes_are_refused_unread() -> None:
    (remark,) = read_manifest(b"a: b\n" * 10_000_000, "f").remarks
    assert remark.what.startswith("50000000 bytes")


def test_remarks_have_a_bound() -> None:
    manifest = read_manifest(b"---\n[\n" * 1000 + b"---\n" + POD, "f")
    assert len(manifest.containers) == 1
    assert len(manifest.remarks) == MOST_REMARKS + 1
    assert manifest.remarks[-1].what == "there is more to say of this file, from here on"


def test_a_service_that_many_extend_is_not_copied_for_ever() -> None:
    volumes = ",".join(f"/a{at}:/a{at}" for at in range(1000))
    services = "\n".join(f"  s{at}: {{extends: base}}" for at in range(1000))
    manifest = read_manifest(f"services:\n  base: {{volumes: [{volumes}]}}\n{services}\n".encode(), "f")
    assert sum(len(spec.mounts) for spec in manifest.containers) <= MOST_MOUNTS
    assert any(f"more than {MOST_MOUNTS} mounts" in remark.what for remark in manifest.remarks)


def test_volumes_of_volumes_of_volumes_end() -> None:
    services = "\n".join(f"  s{at}: {{volumes_from: [{','.join([f's{at + 1}'] * 9)}]}}" for at in range(15))
    manifest = read_manifest(f"services:\n{services}\n  s15: {{image: i}}\n".encode(), "f")
    assert any(f"more than {MOST_MOUNTS} mounts" in remark.what for remark in manifest.remarks)


# ---- whatever is given ----


def sound(manifest: Manifest) -> None:
    """What holds of every answer: it has bounds, its places are in a file, each remark is one line."""
    assert len(manifest.remarks) <= MOST_REMARKS + 1
    for remark in manifest.remarks:
        assert remark.what
        assert remark.what.isprintable()
        assert len(remark.what) < 500
        assert remark.where.line >= 1 <= remark.where.column
    for spec in manifest.containers:
        for mount in spec.mounts:
            assert "\0" not in mount.destination
            assert "\0" not in (mount.source or "")


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    sound(read_manifest(data, "f"))


WORDS = [
    "apiVersion", "kind", "v1", "Pod", "List", "items", "spec", "template", "containers", "initContainers",
    "volumeMounts", "volumes", "name", "mountPath", "hostPath", "path", "mountPropagation", "Bidirectional",
    "services", "extends", "tmpfs", "volumes_from", "source", "target", "type", "bind", "propagation",
    "/a:/b:rslave", "${X:-/a}:/b", "securityContext", "privileged", "metadata", "a", "/a", "CronJob", "jobTemplate",
    "persistentVolumeClaim", "<<", "service", "secrets",
]  # fmt: skip
SCALARS = st.one_of(
    st.sampled_from(WORDS), st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("\0")
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(WORDS), st.text(max_size=3)), inner, max_size=5),
    ),
    max_leaves=30,
)
POD_TREES = st.fixed_dictionaries(
    {"apiVersion": st.just("v1"), "kind": st.sampled_from(["Pod", "List", "CronJob", "PersistentVolume", "Frob"])},
    optional={
        "metadata": TREES,
        "items": st.lists(TREES, max_size=3),
        "spec": st.one_of(
            TREES,
            st.dictionaries(st.sampled_from(["containers", "initContainers", "volumes", "hostPID", "template"]), TREES),
            st.fixed_dictionaries(
                {"containers": st.lists(st.dictionaries(st.sampled_from(WORDS), TREES), max_size=3), "volumes": TREES}
            ),
        ),
    },
)
COMPOSE_TREES = st.fixed_dictionaries(
    {"services": st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.sampled_from(WORDS), TREES))},
    optional={"volumes": TREES, "name": TREES},
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(TREES, POD_TREES, COMPOSE_TREES))
def test_any_tree(tree: object) -> None:
    sound(read_manifest(json.dumps(tree).encode(), "f"))


GOOD = [made.data for made in manifests()]
PIECES = [
    b"*",
    b"&a ",
    b"[",
    b"{",
    b"- ",
    b"\n",
    b"\0",
    b"\xff",
    b"'",
    b'"',
    b": ",
    b"<<: *a",
    b"---\n",
    b"%",
    b"\\",
    b"{{",
    b"${",
    b"=",
]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_manifest_with_something_wrong(data: st.DataObject) -> None:
    good = data.draw(st.sampled_from(GOOD))
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(good)))
        width = data.draw(st.sampled_from([0, 0, 1, 5, 40]))
        good = (
            good[:begin] + data.draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=3))) + good[begin + width :]
        )
    sound(read_manifest(good, "web.container"))


@given(
    st.text(alphabet=string.printable, max_size=80),
    st.sampled_from(["docker run ", "podman run -v ", "podman create --mount "]),
)
def test_any_command_line(rest: str, begin: str) -> None:
    sound(read_manifest(f"{begin}{rest}".encode(), "f"))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["BindPaths", "TemporaryFileSystem", "Volume", "Mount", "PodmanArgs", "Tmpfs"]),
            st.text(max_size=30),
        ),
        max_size=5,
    ),
    st.sampled_from(["Service", "Container", "Pod"]),
)
def test_any_unit(lines: list[tuple[str, str]], section: str) -> None:
    text = "".join(f"{name}={value}\n" for name, value in lines)
    sound(read_manifest(f"[{section}]\n{text}".encode("utf-8", "replace"), "f"))

"""Units of systemd, and of Quadlet."""

from __future__ import annotations

import pytest

from mntscope.parse.manifests.containers import Where
from mntscope.parse.manifests.specifiers import expand
from tests.support.reading_manifests import container, mount, read, said


def test_the_settings_of_a_service_in_order() -> None:
    spec = container(
        "[Service]\nPrivateTmp=yes\nExecStart=/bin/x\nProtectSystem=strict\nReadWritePaths=/var\n", "a.service"
    )
    assert (spec.name, spec.kind, spec.sys_admin) == ("a.service", "systemd", True)
    assert [(setting.name, setting.value, setting.where) for setting in spec.settings] == [
        ("PrivateTmp", "yes", Where("a.service", 2, 12)),
        ("ProtectSystem", "strict", Where("a.service", 4, 15)),
        ("ReadWritePaths", "/var", Where("a.service", 5, 16)),
    ]


def test_an_empty_assignment_takes_back_those_before_it() -> None:
    spec = container("[Service]\nReadOnlyPaths=/a\nBindPaths=/b\nReadOnlyPaths=\nBindPaths=\nReadOnlyPaths=/c\n")
    assert [setting.value for setting in spec.settings] == ["/c"]
    assert spec.mounts == ()


def test_the_words_of_a_list_without_quotes_and_specifiers() -> None:
    spec = container(
        '[Service]\nReadOnlyPaths=-/a "+/with blank" \\\n  %t/%p\nRuntimeDirectory=web/%N cache:link\nPrivateTmp=yes\n',
        "web.service",
    )
    paths, directories, other = spec.settings
    assert [(word.text, word.where.line, word.where.column) for word in paths.words] == [
        ("-/a", 2, 15),
        ("+/with blank", 2, 20),
        ("/run/web", 3, 3),
    ]
    assert [word.text for word in directories.words] == ["web/web", "cache:link"]
    assert other.words == ()


@pytest.mark.parametrize(
    ("line", "remark"),
    [
        ("ReadOnlyPaths=%h/x", "uncertain 2:15 '%h/x' depends on what %h is"),
        ("ReadOnlyPaths=var", "error 2:15 'var': a path of a unit begins with /"),
        ("InaccessiblePaths='/x", 'error 2:19 "\'/x": a quote that is not closed'),
        ("StateDirectory=../x", "error 2:16 '../x': a directory of StateDirectory is a path below its own, without .."),
        ("CacheDirectory=/x", "error 2:16 '/x': a directory of CacheDirectory is a path below its own, without .."),
    ],
)
def test_a_word_that_is_no_path_or_that_nobody_knows_is_left_out_and_said(line: str, remark: str) -> None:
    assert said(read(f"[Service]\n{line}\n", "a.service")) == [remark]


def test_bind_paths() -> None:
    spec = container(
        '[Service]\nBindPaths=/a:/b:norbind -/c \\\n  # a comment\n  "/with blank:/d"\nBindReadOnlyPaths=/e\n'
    )
    assert [
        (each.source, each.destination, each.options, each.read_only, each.source_type) for each in spec.mounts
    ] == [
        ("/a", "/b", ("norbind",), False, ""),
        ("/c", "/c", ("rbind",), False, "optional"),
        ("/with blank", "/d", ("rbind",), False, ""),
        ("/e", "/e", ("rbind",), True, ""),
    ]
    assert [(each.where.line, each.where.column) for each in spec.mounts] == [(2, 11), (2, 25), (4, 4), (5, 19)]


def test_a_root_directory_and_a_tmpfs() -> None:
    spec = container("[Service]\nRootDirectory=/srv/root\nTemporaryFileSystem=/var:ro,size=1m\n")
    assert spec.rootfs == "/srv/root"
    assert [(each.fs_type, each.options, each.read_only) for each in spec.mounts] == [
        ("tmpfs", ("ro", "size=1m"), True)
    ]


@pytest.mark.parametrize(
    ("lines", "has"),
    [
        ("", True),
        ("User=web\n", False),
        ("DynamicUser=yes\n", False),
        ("CapabilityBoundingSet=CAP_NET_ADMIN\n", False),
        ("CapabilityBoundingSet=~CAP_SYS_ADMIN\n", False),
        ("CapabilityBoundingSet=~CAP_SYS_TIME\n", True),
    ],
)
def test_whether_a_service_may_mount(lines: str, has: bool) -> None:
    assert container(f"[Service]\nExecStart=/bin/x\n{lines}").sys_admin == has


def test_a_user_namespace_of_the_units_own() -> None:
    assert container("[Service]\nPrivateUsers=no\n").user_namespace is None
    found = container("[Service]\nPrivateUsers=self\n").user_namespace
    assert found is not None
    assert found.where == Where("f", 2, 14)


@pytest.mark.parametrize(
    ("text", "unit", "expanded", "unknown"),
    [
        ("%t/x/%n", "a@b.service", "/run/x/a@b.service", ()),
        ("%S/%p/%i", "a@b.service", "/var/lib/a/b", ()),
        ("%h/x%%", "a.service", "%h/x%", ("%h",)),
        ("/x/%i", "a@.service", "/x/%i", ("%i",)),
    ],
)
def test_what_is_known_of_specifiers(text: str, unit: str, expanded: str, unknown: tuple[str, ...]) -> None:
    assert expand(text, unit) == (expanded, unknown)


@pytest.mark.parametrize(
    ("line", "kind", "source", "destination", "propagation"),
    [
        ("Volume=/a:/b:rslave", "bind", "/a", "/b", "rslave"),
        ("Volume=data.volume:/b", "volume", None, "/b", None),
        ("Volume=%t/x:/b", "bind", "/run/x", "/b", None),
        ("Mount=type=bind,source=/a,destination=/b,bind-propagation=rshared", "bind", "/a", "/b", "rshared"),
        ("Tmpfs=/b:size=1m", "filesystem", "tmpfs", "/b", None),
        ("PodmanArgs=--privileged -v /a:/b:shared", "bind", "/a", "/b", "shared"),
        ('PodmanArgs="--volume=/with blank:/b"', "bind", "/with blank", "/b", None),
        ("Secret=token,target=/b", "files", None, "/b", None),
    ],
)
def test_what_a_quadlet_mounts(
    line: str, kind: str, source: str | None, destination: str, propagation: str | None
) -> None:
    spec = mount(f"[Container]\nImage=i\n{line}\n", "web.container")
    assert (spec.kind, spec.source, spec.destination, spec.propagation) == (kind, source, destination, propagation)


def test_a_quadlet_and_its_options() -> None:
    spec = container(
        "[Container]\nRootfs=/srv/root\nReadOnly=true\nUserNS=auto\nAddDevice=/dev/a /dev/b\nNetwork=host\n",
        "w.container",
    )
    assert (spec.name, spec.kind, spec.rootfs, spec.readonly_root) == ("w", "quadlet", "/srv/root", True)
    assert spec.devices == ("/dev/a", "/dev/b")
    assert spec.host_namespaces == {"network"}
    assert spec.user_namespace is not None


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ("[Service]\nfrob\n", "error 2:1 'frob': a line of a unit is [Section] or Name=value"),
        ("[Service]\nBindPaths=a\n", "error 2:11 'a': a path of a unit begins with /"),
        ("[Service]\nBindPaths=/a:/b:frob\n",
         "error 2:11 '/a:/b:frob': it is SOURCE[:DESTINATION[:rbind or norbind]]"),
        ("[Service]\nBindPaths=\"/a\n", "error 2:11 '\"/a': a quote that is not closed"),
        ("[Service]\nBindPaths=%h/a\n", "uncertain 2:11 '%h/a' depends on what %h is"),
        ("[Unit]\nDescription=x\n", "left-out 1:1 a unit without a section that starts processes"),
        ("[Container]\nVolume=/a:/b\n", "error 2:8 a container without Image= or Rootfs="),
        ("[Container]\nImage=i\nPodmanArgs=--frob\n", "error 3:12 the option '--frob' is not known"),
        ("[Container]\nImage=i\nPod=a.pod\n",
         "uncertain 3:5 what 'a.pod' brings its containers stands in that file"),
        ("[Volume]\nDevice=/dev/sda\n", "left-out 2:8 a unit with [Volume] starts no container"),
        ("[Kube]\nYaml=pod.yaml\n", "left-out 2:6 the pods of 'pod.yaml': give that file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(text: str, remark: str) -> None:
    assert remark in said(read(text))

"""Pods, and whatever keeps them."""

from __future__ import annotations

import pytest

from mntscope.parse.manifests.containers import Where
from tests.support.reading_manifests import container, mount, read, said

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: p}}
spec:
  containers:
  - name: c
    volumeMounts: [{{name: v, mountPath: /m{mount}}}]
  volumes: [{{name: v, {volume}}}]
"""


def with_volume(volume: str, mount: str = "") -> str:
    return POD.format(volume=volume, mount=mount)


def test_a_finding_can_point_at_the_word_and_at_the_path() -> None:
    spec = mount("""
        apiVersion: v1
        kind: Pod
        spec:
          containers:
          - name: c
            volumeMounts:
            - name: pods
              mountPath: /var/lib/kubelet
              mountPropagation: Bidirectional
          volumes:
          - name: pods
            hostPath:
              path: /var/lib/kubelet
    """)
    assert (spec.source, spec.propagation) == ("/var/lib/kubelet", "Bidirectional")
    assert spec.where == Where("f", 7, 7)
    assert spec.propagation_where == Where("f", 9, 25)
    assert spec.source_where == Where("f", 13, 13)


@pytest.mark.parametrize(
    ("volume", "kind", "source"),
    [
        ("hostPath: {path: /srv}", "bind", "/srv"),
        ("emptyDir: {}", "empty-dir", None),
        ("configMap: {name: a}", "files", None),
        ("secret: {secretName: a}", "files", None),
        ("projected: {sources: []}", "files", None),
        ("downwardAPI: {}", "files", None),
        ("csi: {driver: d}", "claim", None),
        ("ephemeral: {}", "claim", None),
        ("persistentVolumeClaim: {claimName: a}", "claim", None),
        ("nfs: {server: s, path: /p}", "claim", None),
        ("image: {reference: r}", "image", None),
    ],
)
def test_each_kind_of_volume(volume: str, kind: str, source: str | None) -> None:
    spec = mount(with_volume(volume))
    assert (spec.kind, spec.source, spec.volume, spec.destination) == (kind, source, "v", "/m")


def test_an_empty_dir_in_memory_is_a_tmpfs() -> None:
    assert mount(with_volume("emptyDir: {medium: Memory}")).fs_type == "tmpfs"
    assert mount(with_volume("emptyDir: {}")).fs_type == ""


def test_what_a_volume_mount_says() -> None:
    spec = mount(with_volume("hostPath: {path: /srv, type: DirectoryOrCreate}", ", subPath: a/b, readOnly: true"))
    assert (spec.sub_path, spec.read_only, spec.source_type) == ("a/b", True, "DirectoryOrCreate")
    assert mount(with_volume("emptyDir: {}", ", readOnly: true, recursiveReadOnly: Enabled")).read_only_recursive
    assert mount(with_volume("emptyDir: {}", ", subPathExpr: $(X)")).sub_path_expression


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("Deployment", "template"),
        ("DaemonSet", "template"),
        ("StatefulSet", "template"),
        ("ReplicaSet", "template"),
        ("Job", "template"),
        ("CronJob", "jobTemplate: {spec: {template"),
    ],
)
def test_each_controller_has_its_pod_in_its_place(kind: str, keys: str) -> None:
    closing = "}}" if "{" in keys else ""
    spec = container(
        f"{{apiVersion: v1, kind: {kind}, metadata: {{name: n, namespace: s}}, "
        f"spec: {{{keys}: {{spec: {{containers: [{{name: c}}]}}}}}}{closing}}}"
    )
    assert (spec.name, spec.group, spec.kind) == ("c", f"{kind} s/n", "kubernetes")


def test_which_containers_run_when() -> None:
    found = read("""
        apiVersion: v1
        kind: Pod
        spec:
          initContainers: [{name: a}, {name: b, restartPolicy: Always}]
          containers: [{name: c}]
          ephemeralContainers: [{name: d}]
    """).containers
    assert [(spec.name, spec.role) for spec in found] == [
        ("a", "init"), ("b", "sidecar"), ("c", "main"), ("d", "ephemeral"),
    ]  # fmt: skip


def test_privileges_and_namespaces() -> None:
    spec = container("""
        apiVersion: v1
        kind: Pod
        spec:
          hostPID: true
          hostNetwork: true
          hostUsers: false
          containers:
          - name: c
            tty: true
            securityContext: {capabilities: {add: [SYS_ADMIN]}, readOnlyRootFilesystem: true, procMount: Unmasked}
    """)
    assert spec.host_namespaces == {"pid", "network"}
    assert spec.user_namespace is not None
    assert spec.user_namespace.where == Where("f", 6, 14)
    assert (spec.privileged, spec.sys_admin, spec.readonly_root, spec.terminal) == (False, True, True, True)
    assert (spec.masked_paths, spec.readonly_paths) == ((), ())


def test_the_token_of_a_service_account() -> None:
    pod = "{apiVersion: v1, kind: Pod, spec: {%s containers: [{name: c}]}}"
    assert container(pod % "").service_account_token
    assert not container(pod % "automountServiceAccountToken: false,").service_account_token
    account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\nautomountServiceAccountToken: false\n---\n"
    assert not container(account + pod % "serviceAccountName: a,").service_account_token
    assert container(account + pod % "serviceAccountName: b,").service_account_token


def test_a_claim_whose_volume_is_in_the_file_is_a_path_of_the_host() -> None:
    claim = with_volume("persistentVolumeClaim: {claimName: k}")
    volume = "---\n{apiVersion: v1, kind: PersistentVolume, metadata: {name: x}, spec: {hostPath: {path: /srv}%s}}\n"
    by_claim = "---\n{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: k}, spec: {volumeName: x}}\n"
    assert mount(claim + volume % "" + by_claim).source == "/srv"
    assert mount(claim + volume % ", claimRef: {name: k}").source == "/srv"
    assert mount(claim + volume % "").kind == "claim"


def test_a_stateful_sets_claims_are_volumes() -> None:
    spec = mount("""
        apiVersion: apps/v1
        kind: StatefulSet
        spec:
          template: {spec: {containers: [{name: c, volumeMounts: [{name: data, mountPath: /d}]}]}}
          volumeClaimTemplates: [{metadata: {name: data}}]
    """)
    assert (spec.kind, spec.volume) == ("claim", "data")


def test_a_list_in_a_list_and_a_list_of_one_kind() -> None:
    manifest = read("""
        apiVersion: v1
        kind: List
        items:
        - {apiVersion: v1, kind: PodList, items: [{metadata: {name: p}, spec: {containers: [{name: c}]}}]}
    """)
    assert [spec.group for spec in manifest.containers] == ["Pod p"]


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        (with_volume("emptyDir: {}", ", mountPropagation: rshared"),
         "error 7:63 mountPropagation: 'rshared': it is None, HostToContainer or Bidirectional"),
        (with_volume("emptyDir: {}").replace("name: v, m", "name: w, m"), "error 7:27 no volume is called 'w'"),
        (with_volume("hostPath: {}"), "error 8:13 a hostPath without a path"),
        (with_volume("hostPath: {path: 7}"), "error 8:40 hostPath.path is the number 7, and should be a string"),
        (with_volume("emptyDir: {}", ", subPath: ../x"),
         "error 7:54 a subPath leads down from its volume: no / at its begin, no .."),
        (with_volume("frob: {}"), "uncertain 8:13 a volume of the kind 'frob', which is not known"),
        ("apiVersion: v1\nkind: Pod\n", "error 1:1 a Pod without spec"),
        ("apiVersion: v1\nkind: Frob\n", "left-out 2:7 the kind 'Frob' is not known, and no pod is in it"),
        ("apiVersion: v1\nkind: Service\n", "left-out 1:1 start no container: 1 Service"),
        ("apiVersion: kustomize.config.k8s.io/v1\nkind: Kustomization\n",
         "left-out 2:7 a kustomization: give what kustomize build prints"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(text: str, remark: str) -> None:
    assert remark in said(read(text))


def test_a_near_miss_is_named() -> None:
    text = (
        with_volume("emptyDir: {}").replace("name: v, emp", "name: volume, emp").replace("name: v, m", "name: volum, m")
    )
    assert said(read(text)) == ["error 7:27 no volume is called 'volum'; did you mean 'volume'?"]


def test_wrong_fields_hide_nothing_beside_them() -> None:
    manifest = read("""
        apiVersion: v1
        kind: Pod
        spec:
          containers:
          - 5
          - {name: c, volumeMounts: [7, {name: v}, {name: v, mountPath: /m, readOnly: maybe}]}
          - {name: d, volumeMounts: {name: v}}
          volumes: [{name: v, emptyDir: {}}]
    """)
    assert [(spec.name, [each.destination for each in spec.mounts]) for spec in manifest.containers] == [
        ("c", ["/m"]),
        ("d", []),
    ]
    assert said(manifest) == [
        "error 5:5 containers[] is the number 5, and should be a mapping",
        "error 6:30 volumeMounts[] is the number 7, and should be a mapping",
        "error 6:33 a volumeMount takes name and mountPath",
        "error 6:79 readOnly is the string 'maybe', and should be true or false",
        "error 7:29 volumeMounts is a mapping, and should be a list",
    ]


def test_the_other_documents_count() -> None:
    good = "{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {containers: [{name: c}]}}\n"
    manifest = read(f"{good % 'a'}---\n[\n---\n{good % 'b'}---\n\x00\n---\n{good % 'd'}")
    assert [spec.group for spec in manifest.containers] == ["Pod a", "Pod b", "Pod d"]
    assert len(manifest.remarks) == 2

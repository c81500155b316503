"""Kubernetes manifests: every pod that a document starts, whichever controller keeps it.

The fields are those of the API (``kubectl explain pod.spec``). What a pod gets beside what is written (hosts,
resolv.conf, a termination log) is kubelet's, and stands in its profile.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from mntscope.base.counting import counted_each
from mntscope.base.records import NamedTuple, dataclass, replace
from mntscope.parse.manifests.containers import ContainerSpec, MountKind, MountSpec, Role, UserNamespace, Where
from mntscope.parse.manifests.nodes import Node
from mntscope.parse.manifests.reading import Reading, shown

_TEMPLATES: dict[str, tuple[str, ...]] = {
    "Pod": (),
    "PodTemplate": ("template",),
    **dict.fromkeys(
        ("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "Job"), ("spec", "template")
    ),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""Where in a document of each kind the pod is."""

_WITHOUT_CONTAINERS_WORDS = """
    APIService Binding CSIDriver CSINode CSIStorageCapacity CertificateSigningRequest ClusterRole ClusterRoleBinding
    ClusterTrustBundle ComponentStatus ConfigMap ControllerRevision CustomResourceDefinition DeviceClass
    EndpointSlice Endpoints Event FlowSchema HorizontalPodAutoscaler IPAddress Ingress IngressClass Lease LimitRange
    MutatingAdmissionPolicy MutatingWebhookConfiguration Namespace NetworkPolicy Node PersistentVolume
    PersistentVolumeClaim PodDisruptionBudget PodMonitor PodSecurityPolicy PriorityClass PriorityLevelConfiguration
    PrometheusRule ResourceClaim ResourceClaimTemplate ResourceQuota ResourceSlice Role RoleBinding RuntimeClass
    Secret Service ServiceAccount ServiceCIDR ServiceMonitor StorageClass StorageVersion ValidatingAdmissionPolicy
    ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration VolumeAttachment VolumeAttributesClass
"""
_WITHOUT_CONTAINERS = frozenset(_WITHOUT_CONTAINERS_WORDS.split())
"""Kinds that start nothing, whatever is in them."""

_CLAIMS_WORDS = """
    awsElasticBlockStore azureDisk azureFile cephfs cinder csi ephemeral fc flexVolume flocker gcePersistentDisk
    glusterfs iscsi nfs persistentVolumeClaim photonPersistentDisk portworxVolume quobyte rbd scaleIO storageos
    vsphereVolume
"""
_CLAIMS = frozenset(_CLAIMS_WORDS.split())
"""Volumes of whom only a driver knows where they are."""

_FILES = frozenset(("configMap", "secret", "downwardAPI", "projected"))

_SECTIONS: tuple[tuple[str, Role], ...] = (
    ("initContainers", "init"),
    ("containers", "main"),
    ("ephemeralContainers", "ephemeral"),
)

_RECURSIVELY_READ_ONLY = ("Enabled", "IfPossible", "Disabled")

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where a pod finds the token of its service account."""


def is_kubernetes(document: Node) -> bool:
    """Whether a document is an object of Kubernetes: it says which kind."""
    return document.text("kind") is not None and document.text("apiVersion") is not None


class KubernetesReader:
    """Reads the documents of one file, which may refer to each other."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self._idle: dict[str, int] = {}
        self._first_idle: Where | None = None
        self._paths: dict[str, Node] = {}
        """Of persistent volumes that are a path of the host, by their claims' names and by their own."""
        self._tokenless: set[tuple[str, str]] = set()

    def read(self, documents: list[Node]) -> Iterator[ContainerSpec]:
        """The containers of all documents, in order."""
        objects = [each for document in documents for each in self._objects(document)]
        for each in objects:
            self._note(each)
        for each in objects:
            yield from self._object(each)
        if self._first_idle is not None:
            kinds = counted_each(sorted(self._idle.items()))
            self.reading.left_out(f"start no container: {kinds}", self._first_idle)

    def _objects(self, document: Node) -> Iterator[Node]:
        """The document, or what a list holds; a list in a list too."""
        kind = document.text("kind") or ""
        if kind == "List" or (kind.endswith("List") and "items" in self.reading.mapping(document)):
            for item in self.reading.mappings(document, "items"):
                # What a server answers names the kind only once, for all of them.
                if kind != "List" and isinstance(item.value, Mapping) and "kind" not in item.value:
                    named = Node(kind.removesuffix("List"), item.where)
                    yield replace(item, value={**item.value, "kind": named})
                else:
                    yield from self._objects(item)
        else:
            yield document

    def _note(self, document: Node) -> None:
        """Remembers what pods of other documents are about."""
        kind, name = document.text("kind"), document.text("metadata", "name")
        namespace = document.text("metadata", "namespace") or "default"
        if kind == "ServiceAccount" and document.get("automountServiceAccountToken") is not None:
            if not document.flag("automountServiceAccountToken"):
                self._tokenless.add((namespace, name or ""))
        elif kind == "PersistentVolume":
            path = document.get("spec", "hostPath", "path") or document.get("spec", "local", "path")
            claim = document.text("spec", "claimRef", "name")
            if path is not None and isinstance(path.value, str) and path.value:
                self._paths[f"volume {name}"] = path
                if claim:
                    claimed_in = document.text("spec", "claimRef", "namespace") or "default"
                    self._paths[f"claim {claimed_in}/{claim}"] = path
        elif kind == "PersistentVolumeClaim":
            volume = document.text("spec", "volumeName")
            if volume:
                self._paths[f"claim {namespace}/{name}"] = Node(f"volume {volume}", document.where)

    def _object(self, document: Node) -> Iterator[ContainerSpec]:
        kind = self.reading.text(document, "kind")
        if kind is None:
            self.reading.error("an object without a kind", document.where)
            return
        keys = _TEMPLATES.get(kind)
        if keys is None:
            if kind in _WITHOUT_CONTAINERS and document.get("spec", "template", "spec", "containers") is None:
                self._first_idle = self._first_idle or document.where
                self._idle[kind] = self._idle.get(kind, 0) + 1
                return
            keys = self._unknown(kind, document)
            if keys is None:
                return
        template = document.get(*keys) if keys else document
        if template is None or template.get("spec") is None:
            self.reading.error(f"a {kind} without {'.'.join((*keys, 'spec'))}", document.where)
            return
        yield from _Pod(self.reading, document, kind, template, self._tokenless, self._paths).containers()

    def _unknown(self, kind: str, document: Node) -> tuple[str, ...] | None:
        """Where an object of a kind that is not Kubernetes' own has a pod, if it has one as the others do."""
        where = document.get("kind")
        at = document.where if where is None else where.where
        if document.text("apiVersion", *()) and (document.text("apiVersion") or "").startswith("kustomize.config"):
            self.reading.left_out("a kustomization: give what kustomize build prints", at)
            return None
        for keys in (("spec", "template"), ("spec", "podTemplate"), ("spec", "jobTemplate", "spec", "template")):
            if document.get(*keys, "spec", "containers") is not None:
                self.reading.uncertain(
                    f"the kind {shown(kind)} is not known: read as if it started its pod template", at
                )
                return keys
        self.reading.left_out(f"the kind {shown(kind)} is not known, and no pod is in it", at)
        return None


class _Volume(NamedTuple):
    """What a name in volumeMounts stands for."""

    kind: MountKind
    source: str | None = None
    source_where: Where | None = None
    source_type: str = ""
    fs_type: str = ""


@dataclass(frozen=True, slots=True)
class _Pod:
    """One pod, while it is read."""

    reading: Reading
    owner: Node
    kind: str
    template: Node
    tokenless: set[tuple[str, str]]
    paths: dict[str, Node]

    @property
    def namespace(self) -> str:
        return self.owner.text("metadata", "namespace") or ""

    def containers(self) -> Iterator[ContainerSpec]:
        """Its containers, as they are started."""
        reading, spec = self.reading, self.template.get("spec")
        name = reading.text(self.owner, "metadata", "name") or reading.text(self.owner, "metadata", "generateName")
        group = f"{self.kind} {self.namespace}{'/' if self.namespace else ''}{name or '(without a name)'}"
        if reading.text(spec, "os", "name") == "windows":
            reading.left_out(f"{group} runs on Windows", self.owner.where)
            return
        volumes = self._volumes()
        pod = ContainerSpec(
            "",
            "kubernetes",
            self.owner.where,
            group=group,
            host_namespaces=frozenset(
                namespace
                for namespace, key in (("pid", "hostPID"), ("network", "hostNetwork"), ("ipc", "hostIPC"))
                if reading.flag(spec, key)
            ),
            joined_namespaces=(("pid", group),) if reading.flag(spec, "shareProcessNamespace") else (),
            user_namespace=self._user_namespace(),
            service_account_token=self._has_token(),
        )
        found = False
        for section, role in _SECTIONS:
            for container in reading.mappings(spec, section):
                found = True
                if not reading.room_for_container(container.where):
                    return
                is_sidecar = role == "init" and reading.text(container, "restartPolicy") == "Always"
                yield self._container(pod, container, volumes, "sidecar" if is_sidecar else role)
        if not found:
            reading.error(f"{group} has no containers", self.template.where)

    def _user_namespace(self) -> UserNamespace | None:
        given = self.template.get("spec", "hostUsers")
        if given is None or self.reading.flag(self.template, "spec", "hostUsers") is not False:
            return None
        return UserNamespace(where=given.where)

    def _has_token(self) -> bool:
        said = self.reading.flag(self.template, "spec", "automountServiceAccountToken")
        if said is not None:
            return said
        account = (
            self.template.text("spec", "serviceAccountName")
            or self.template.text("spec", "serviceAccount")
            or "default"
        )
        return (self.namespace or "default", account) not in self.tokenless

    def _container(self, pod: ContainerSpec, container: Node, volumes: dict[str, _Volume], role: Role) -> ContainerSpec:
        reading = self.reading
        name = reading.text(container, "name")
        if name is None:
            reading.error("a container without a name", container.where)
        added = {word.upper() for word, _ in reading.texts(container, "securityContext", "capabilities", "add")}
        privileged = bool(reading.flag(container, "securityContext", "privileged"))
        unmasked = reading.text(container, "securityContext", "procMount") == "Unmasked"
        mounts = tuple(self._mounts(container, volumes))
        for device in reading.mappings(container, "volumeDevices"):
            reading.left_out(f"the device {shown(reading.text(device, 'devicePath') or '')}: no mount", device.where)
        return replace(
            pod,
            name=name or "(without a name)",
            where=container.where,
            role=role,
            mounts=mounts,
            readonly_root=bool(reading.flag(container, "securityContext", "readOnlyRootFilesystem")),
            privileged=privileged,
            sys_admin=privileged or not added.isdisjoint(("SYS_ADMIN", "CAP_SYS_ADMIN", "ALL")),
            terminal=bool(reading.flag(container, "tty")),
            masked_paths=() if unmasked else None,
            readonly_paths=() if unmasked else None,
            service_account_token=pod.service_account_token and all(mount.destination != TOKEN for mount in mounts),
        )

    # ---- volumes ----

    def _volumes(self) -> dict[str, _Volume]:
        reading, spec = self.reading, self.template.get("spec")
        volumes: dict[str, _Volume] = {}
        for volume in reading.mappings(spec, "volumes"):
            name = reading.text(volume, "name")
            if name is None:
                reading.error("a volume without a name", volume.where)
            elif name in volumes:
                reading.error(f"a second volume {shown(name)}", volume.where)
            else:
                volumes[name] = self._volume(volume)
        if self.kind == "StatefulSet":
            for claim in reading.mappings(self.owner, "spec", "volumeClaimTemplates"):
                volumes[reading.text(claim, "metadata", "name") or ""] = _Volume("claim")
        return volumes

    def _volume(self, volume: Node) -> _Volume:
        reading, given = self.reading, self.reading.mapping(volume)
        if "hostPath" in given:
            path = volume.get("hostPath", "path")
            source = reading.path(volume, "hostPath", "path")
            if path is None:
                reading.error("a hostPath without a path", volume.where)
            source_type = reading.text(volume, "hostPath", "type") or ""
            return _Volume("bind", source, None if path is None else path.where, source_type)
        if "emptyDir" in given:
            return _Volume(
                "empty-dir", fs_type="tmpfs" if reading.text(volume, "emptyDir", "medium") == "Memory" else ""
            )
        if "persistentVolumeClaim" in given:
            return self._claim(volume)
        if "image" in given:
            return _Volume("image")
        kinds: list[tuple[frozenset[str], MountKind]] = [(_FILES, "files"), (_CLAIMS, "claim")]
        for names, kind in kinds:
            if not names.isdisjoint(given):
                return _Volume(kind)
        others = sorted(given.keys() - {"name"})
        if others:
            reading.uncertain(f"a volume of the kind {shown(others[0])}, which is not known", volume.where)
            return _Volume("claim")
        # As the API has it for one of which nothing is said.
        return _Volume("empty-dir")

    def _claim(self, volume: Node) -> _Volume:
        """A path of the host, if the persistent volume of the claim stands in the same file and is one."""
        name = self.reading.text(volume, "persistentVolumeClaim", "claimName")
        found = self.paths.get(f"claim {self.namespace or 'default'}/{name}")
        if found is not None and isinstance(found.value, str) and found.value.startswith("volume "):
            found = self.paths.get(found.value)
        if found is None or not isinstance(found.value, str) or not self.reading.is_path(found.value, found.where):
            return _Volume("claim")
        return _Volume("bind", found.value, found.where)

    def _mounts(self, container: Node, volumes: dict[str, _Volume]) -> Iterator[MountSpec]:
        reading = self.reading
        seen: set[str] = set()
        for entry in reading.mappings(container, "volumeMounts"):
            if not reading.room_for_mount(entry.where):
                return
            name, destination = reading.text(entry, "name"), reading.path(entry, "mountPath")
            if name is None or destination is None:
                if entry.get("name") is None or entry.get("mountPath") is None:
                    reading.error("a volumeMount takes name and mountPath", entry.where)
                continue
            if name not in volumes:
                near = difflib.get_close_matches(name[:60], [each for each in volumes if len(each) <= 63][:100], n=1)
                hint = f"; did you mean {shown(near[0])}?" if near else ""
                at = entry.get("name")
                reading.error(f"no volume is called {shown(name)}{hint}", at.where if at is not None else entry.where)
                continue
            if destination in seen:
                reading.error(f"a second volumeMount at {shown(destination)}", entry.where)
            seen.add(destination)
            yield self._mount(entry, name, destination, volumes[name])

    def _mount(self, entry: Node, name: str, destination: str, volume: _Volume) -> MountSpec:
        reading = self.reading
        expression, sub_path = reading.text(entry, "subPathExpr"), reading.text(entry, "subPath")
        at = entry.get("subPathExpr") or entry.get("subPath")
        inside = expression or sub_path or ""
        if at is not None and inside:
            if not reading.is_path(inside, at.where):
                inside = ""
            elif inside.startswith("/") or ".." in inside.split("/"):
                reading.error("a subPath leads down from its volume: no / at its begin, no ..", at.where)
                inside = ""
            elif expression:
                reading.uncertain(f"what {shown(expression)} comes to, the container's environment says", at.where)
        recursive = reading.text(entry, "recursiveReadOnly")
        recursive_at = entry.get("recursiveReadOnly")
        if recursive is not None and recursive_at is not None and recursive not in _RECURSIVELY_READ_ONLY:
            reading.error(
                f"recursiveReadOnly: {shown(recursive)}: {_one_of(_RECURSIVELY_READ_ONLY)}", recursive_at.where
            )
        elif recursive == "IfPossible" and recursive_at is not None:
            reading.uncertain("whether it is recursively read-only is up to the node's runtime", recursive_at.where)
        propagation, propagation_at = reading.text(entry, "mountPropagation"), entry.get("mountPropagation")
        known = ("None", "HostToContainer", "Bidirectional")
        if propagation is not None and propagation_at is not None and propagation not in known:
            reading.error(f"mountPropagation: {shown(propagation)}: {_one_of(known)}", propagation_at.where)
            propagation = None
        return MountSpec(
            destination,
            entry.where,
            kind=volume.kind,
            source=volume.source,
            volume=name,
            fs_type=volume.fs_type,
            propagation=propagation,
            propagation_where=propagation_at.where if propagation is not None and propagation_at is not None else None,
            source_where=volume.source_where,
            read_only=bool(reading.flag(entry, "readOnly")),
            read_only_recursive=recursive == "Enabled",
            sub_path=inside,
            sub_path_expression=bool(expression and inside),
            source_type=volume.source_type,
        )


def _one_of(words: tuple[str, ...]) -> str:
    return f"it is {', '.join(words[:-1])} or {words[-1]}"

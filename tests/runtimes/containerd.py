"""containerd: containers of ctr, and Kubernetes pods through its CRI."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mntscope.analysis.preview.defaults import MASKED, READONLY
from tests.runtimes.foreseen import Asked
from tests.runtimes.packages import BUSYBOX
from tests.runtimes.scene import VOLUME, Failed, Scene, parent
from tests.runtimes.target import Missing, Runtime, Target
from tests.support.repository import ROOT

_SOCKET = "/run/containerd/containerd.sock"
_IMAGE = "docker.io/library/bb:latest"
_PYTHON = "/usr/bin/python3"
_RUNC = "/usr/local/bin/runc-without-controllers"

# A kubelet's containers have limits, which need controllers that a throwaway host may not have.
_WITHOUT = """\
#!/usr/bin/python3
import json, os, sys
if "--bundle" in sys.argv:
    path = sys.argv[sys.argv.index("--bundle") + 1] + "/config.json"
    config = json.load(open(path))
    for name in ("cpu", "memory", "pids"):
        config.get("linux", {}).get("resources", {}).pop(name, None)
    config.get("process", {}).pop("oomScoreAdj", None)
    json.dump(config, open(path, "w"))
os.execv("/usr/sbin/runc", ["runc", *sys.argv[1:]])
"""

_CONFIGURATION = f"""\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{_IMAGE}"
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  BinaryName = "{_RUNC}"
"""


def _daemon(scene: Scene) -> None:
    Path(_RUNC).write_text(_WITHOUT)
    os.chmod(_RUNC, 0o755)
    os.makedirs("/etc/containerd", exist_ok=True)
    Path("/etc/containerd/config.toml").write_text(_CONFIGURATION)
    scene.run("systemctl", "restart", "containerd")
    archive = Path("/srv/bb.oci.tar")
    _write_image(archive)
    for space in ("default", "k8s.io"):
        scene.run("ctr", "-n", space, "image", "import", str(archive))


def _write_image(archive: Path) -> None:
    """An image of one layer, as ``docker save`` writes it."""
    layer = BUSYBOX.read_bytes()
    settings = {"Cmd": ["/bin/sleep", "1d"], "Env": ["PATH=/bin:/usr/bin"]}
    config = {"architecture": "amd64", "os": "linux", "config": settings}
    digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    text = json.dumps({**config, "rootfs": {"type": "layers", "diff_ids": [digest]}}).encode()
    manifest = [{"Config": "config.json", "RepoTags": ["bb:latest"], "Layers": ["layer/layer.tar"]}]
    with tarfile.open(archive, "w") as out:
        for name, data in {
            "config.json": text,
            "layer/layer.tar": layer,
            "manifest.json": json.dumps(manifest).encode(),
        }.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            out.addfile(entry, io.BytesIO(data))


def start(scene: Scene) -> Iterator[Target | Missing]:
    """As ctr starts them, by hand."""
    scene.volumes()
    _daemon(scene)
    yield _ctr(scene, "c-default")
    binds = ("rbind:rshared", "rbind:rslave", "rbind:rprivate") + (
        () if scene.few else ("rbind", "bind", "bind:shared")
    )
    for options in binds:
        mount = f"type=bind,src={VOLUME},dst=/mnt,options={options}"
        yield _ctr(scene, f"c-{options.replace(':', '-')}", "--mount", mount)
    if not scene.few:
        yield _ctr(scene, "c-readonly", "--read-only")
        yield _ctr(scene, "c-hostpid", "--with-ns", "pid:/proc/1/ns/pid")
        # Two of one name, in two of containerd's own namespaces.
        yield _ctr(scene, "c-twice")
        yield _ctr(scene, "c-twice", space="other")
    pid = _pids(scene, "default")["c-default"]
    yield Target("the shim of c-default", parent(pid), names_only=True)


def _ctr(scene: Scene, name: str, *options: str, space: str = "default") -> Target | Missing:
    shown = " ".join(options) or "(no option)"
    if space != "default":
        scene.run("ctr", "-n", space, "image", "import", "/srv/bb.oci.tar")
        shown = f"-n {space}, another of the name {name}"
    try:
        scene.run("ctr", "-n", space, "run", "-d", "--runc-binary", _RUNC, *options, _IMAGE, name, "/bin/sleep", "1d")
    except Failed as error:
        return Missing(shown, str(error))
    return Target(shown, _pids(scene, space)[name], () if name == "c-twice" else (name,))


def _pids(scene: Scene, space: str) -> dict[str, int]:
    lines = scene.run("ctr", "-n", space, "task", "ls").splitlines()[1:]
    return {line.split()[0]: int(line.split()[1]) for line in lines}


def stop(scene: Scene) -> None:
    """All containers, and the daemon."""
    for space in ("default", "other"):
        for name in _pids(scene, space):
            scene.run("ctr", "-n", space, "task", "kill", "-s", "KILL", name)
        for name in scene.run("ctr", "-n", space, "container", "ls", "-q").split():
            scene.run("sh", "-c", f"ctr -n {space} task rm -f {name}; ctr -n {space} container rm {name}")
    scene.run("systemctl", "stop", "containerd")
    scene.no_volumes()


CONTAINERD = Runtime("containerd", ("containerd", "runc"), start, stop, (BUSYBOX,))

_PODS: dict[str, dict[str, Any]] = {
    "web": {
        "nginx": {"volumes": [(VOLUME, "/vol", "None")]},
        "sidecar": {"volumes": [(VOLUME, "/vol", "HostToContainer")]},
    },
    "csi": {"driver": {"volumes": [(VOLUME, "/vol", "Bidirectional")], "privileged": True}},
    # Two pods with a container of one name.
    "web2": {"nginx": {"volumes": []}},
    "csi2": {
        "driver": {"volumes": [("/var/lib/kubelet/pods", "/var/lib/kubelet/pods", "Bidirectional")]},
        "registrar": {"volumes": [("/var/lib/kubelet/plugins", "/plugins", "None")]},
    },
    "exporter": {"exporter": {"volumes": [("/", "/host", "HostToContainer")]}},
    "agent": {"agent": {"volumes": [("/", "/host", "Bidirectional")]}},
    "privileged": {"tool": {"volumes": [], "privileged": True}},
}


def start_pods(scene: Scene) -> Iterator[Target | Missing]:
    """As a kubelet starts them; of each pod also its sandbox."""
    scene.volumes()
    for name in ("pods", "plugins"):
        os.makedirs(f"/var/lib/kubelet/{name}", exist_ok=True)
    _daemon(scene)
    for name, containers in list(_PODS.items())[: 2 if scene.few else None]:
        pod = {"name": name, "image": _IMAGE, "containers": [{"name": key, **it} for key, it in containers.items()]}
        pod |= {"masked": list(MASKED), "readonly": list(READONLY)}
        manifest = _manifest(name, containers)
        asks = {called: Asked(manifest, "runc", container=called) for called in containers}
        try:
            found = json.loads(_cri(json.dumps(pod)))
        except Failed as error:
            yield Missing(f"pod {name}", str(error))
            continue
        pids = _pids(scene, "k8s.io")
        sandbox = found["sandbox"]
        yield Target(f"sandbox of pod {name}", pids[sandbox], (f"shop/{name}", sandbox), f"shop/{name} (containerd)")
        for called, made in found["containers"].items():
            volumes = containers[called]["volumes"]
            how = ", ".join(f"mountPropagation: {one[2]} of {one[0]}" for one in volumes) or "(no volume)"
            shown = f"{how}{', privileged' if containers[called].get('privileged') else ''}"
            if "why" in made:
                yield Missing(shown, made["why"])
                continue
            whole = f"shop/{name}/{called}"
            calls = (whole, f"{name}/{called}", made["id"], made["id"][:13])
            unique = () if called in ("nginx", "driver") and not scene.few else (called,)
            pid = pids[made["id"]]
            compared = asks[called].compared(pid)
            yield Target(shown, pid, (*calls, *unique), f"{whole} (containerd)", foreseen=compared)


def _manifest(name: str, containers: dict[str, dict[str, Any]]) -> str:
    """The pod, as a user writes it."""
    sources = list(dict.fromkeys(source for it in containers.values() for source, _, _ in it["volumes"]))
    spec = {
        "hostNetwork": True,
        "automountServiceAccountToken": False,
        "volumes": [{"name": f"v{number}", "hostPath": {"path": path}} for number, path in enumerate(sources)],
        "containers": [
            {
                "name": called,
                "image": "bb",
                "securityContext": {"privileged": bool(it.get("privileged"))},
                "volumeMounts": [
                    {"name": f"v{sources.index(source)}", "mountPath": path, "mountPropagation": how}
                    for source, path, how in it["volumes"]
                ],
            }
            for called, it in containers.items()
        ],
    }
    return json.dumps(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}
    )


def _cri(text: str, *words: str) -> str:
    done = subprocess.run(
        [_PYTHON, "-m", "tests.runtimes.cri", _SOCKET, *words],
        input=text,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(f"CRI: {done.stderr.strip().splitlines()[-1][-300:]}")
    return done.stdout


def stop_pods(scene: Scene) -> None:
    """All pods, and the daemon."""
    lines = scene.run("ctr", "-n", "k8s.io", "container", "ls").splitlines()
    labels = {
        line.split()[0]: scene.run("ctr", "-n", "k8s.io", "container", "info", line.split()[0]) for line in lines[1:]
    }
    sandboxes = [number for number, info in labels.items() if '"io.cri-containerd.kind": "sandbox"' in info]
    _cri("", "stop", *sandboxes)
    scene.run("systemctl", "stop", "containerd")
    scene.no_volumes()
    shutil.rmtree("/var/log/pods", ignore_errors=True)


PODS = Runtime("kubernetes-pods", ("containerd", "runc", "python3-grpcio"), start_pods, stop_pods, (BUSYBOX,))

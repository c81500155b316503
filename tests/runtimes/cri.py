"""A kubelet's part of the Container Runtime Interface, as far as it takes to start and stop pods.

Messages are encoded here, by the numbers of the fields in the CRI's api.proto (runtime.v1): ``{1: "text", 6: [{..}]}``.
It runs under Debian's Python, for its gRPC: ``python3 -m tests.runtimes.cri SOCKET``, with a JSON pod in the input.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import uuid
from collections.abc import Callable
from typing import Any

PROPAGATION = {"None": 0, "HostToContainer": 1, "Bidirectional": 2}
_NODE = 2  # NamespaceMode: the node's own network, which needs no plugin

Field = int | str | bool | dict[int, Any] | list[Any]


def encoded(message: dict[int, Any]) -> bytes:
    """A protobuf message; what is 0, empty or false is left out, as proto3 has it."""
    return b"".join(_field(number, value) for number, value in sorted(message.items()))


def _field(number: int, value: Field) -> bytes:
    if isinstance(value, list):
        return b"".join(_field(number, one) for one in value)
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value) if value else b""
    data = encoded(value) if isinstance(value, dict) else value.encode()
    return _varint(number << 3 | 2) + _varint(len(data)) + data if data or isinstance(value, dict) else b""


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def first_text(message: bytes) -> str:
    """The first field of a response, which is an id."""
    if not message:
        return ""
    length, at, shift = 0, 1, 0
    while True:
        length |= (message[at] & 0x7F) << shift
        shift += 7
        at += 1
        if message[at - 1] < 0x80:
            return message[at : at + length].decode()


def _labels(labels: dict[str, str]) -> list[dict[int, str]]:
    return [{1: key, 2: value} for key, value in labels.items()]


def start(call: Callable[[str, dict[int, Any]], str], pod: dict[str, Any]) -> dict[str, Any]:
    """The ids of a pod's sandbox and of its containers, or why one does not start.

    *pod* has a name, the image's reference, paths to be masked or readonly, and containers: name, volumes (host path,
    path, propagation), privileged.
    """
    name, image = pod["name"], pod["image"]
    uid = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
    logs = f"/var/log/pods/shop_{name}_{uid}"
    os.makedirs(logs, exist_ok=True)
    labels = {"io.kubernetes.pod.name": name, "io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.uid": uid}
    privileged = any(container.get("privileged") for container in pod["containers"])
    sandbox: dict[int, Any] = {
        1: {1: name, 2: uid, 3: "shop"},
        3: logs,
        6: _labels(labels),
        8: {1: f"/kubepods/besteffort/pod{uid}", 2: {1: {1: _NODE}, 6: privileged}},
    }
    found: dict[str, Any] = {"sandbox": call("RunPodSandbox", {1: sandbox}), "containers": {}}
    hosts = f"/var/lib/kubelet/pods/{uid}/etc-hosts"
    for container in pod["containers"]:
        called = container["name"]
        kept = f"/var/lib/kubelet/pods/{uid}/containers/{called}"
        os.makedirs(kept, exist_ok=True)
        for file in (f"{kept}/0a1b2c3d", hosts):
            with open(file, "a"):
                pass
        mounts = [{1: path, 2: host, 5: PROPAGATION[how]} for host, path, how in container["volumes"]]
        mounts.append({1: "/etc/hosts", 2: hosts})
        mounts.append({1: "/dev/termination-log", 2: f"{kept}/0a1b2c3d"})
        config = {
            1: {1: called},
            2: {1: image},
            3: ["/bin/sleep", "1d"],
            7: mounts,
            9: _labels(labels | {"io.kubernetes.container.name": called}),
            11: f"{called}.log",
            15: {2: _security(pod, privileged=bool(container.get("privileged")))},
        }
        try:
            made = call("CreateContainer", {1: found["sandbox"], 2: config, 3: sandbox})
            call("StartContainer", {1: made})
            found["containers"][called] = {"id": made}
        except RuntimeError as error:
            found["containers"][called] = {"why": str(error)}
    return found


def _security(pod: dict[str, Any], *, privileged: bool) -> dict[int, Any]:
    """What kubelet asks for: of a container that is not privileged, paths are masked or made read-only."""
    found: dict[int, Any] = {2: privileged, 3: {1: _NODE}}
    return found if privileged else {**found, 13: pod["masked"], 14: pod["readonly"]}


def main() -> int:
    """Start the pod in the input, or with ``stop ID`` end one; prints what :func:`start` finds."""
    grpc: Any = importlib.import_module("grpc")
    channel = grpc.insecure_channel(f"unix://{sys.argv[1]}")

    def call(method: str, message: dict[int, Any]) -> str:
        stub = channel.unary_unary(
            f"/runtime.v1.RuntimeService/{method}", request_serializer=encoded, response_deserializer=first_text
        )
        try:
            text: str = stub(message, timeout=60)
        except grpc.RpcError as error:
            raise RuntimeError(f"{method}: {error.details()[-200:]}") from error
        return text

    if sys.argv[2:3] == ["stop"]:
        for number in sys.argv[3:]:
            call("StopPodSandbox", {1: number})
            call("RemovePodSandbox", {1: number})
    else:
        json.dump(start(call, json.load(sys.stdin)), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())

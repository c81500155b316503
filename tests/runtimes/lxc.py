"""lxc, with its own ways to write propagation, and lxd, if it starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tests.runtimes.packages import BUSYBOX
from tests.runtimes.scene import VOLUME, Failed, Scene, unpack
from tests.runtimes.target import Missing, Runtime, Target

_AUTO = "lxc.mount.auto = proc:mixed sys:mixed"


def start(scene: Scene) -> Iterator[Target | Missing]:
    """A container for each; root directories from the image, as no template is downloaded."""
    scene.volumes()

    def entry(options: str) -> str:
        return f"lxc.mount.entry = {VOLUME} vol none {options} 0 0"

    yield _one(scene, "l-default", _AUTO)
    yield _one(scene, "l-bind", _AUTO, entry("bind"))
    for how in ("rshared", "rslave", "rprivate"):
        yield _one(scene, f"l-{how}", _AUTO, entry(f"rbind,{how}"))
    if scene.few:
        return
    yield _one(scene, "l-nothing")
    yield _one(scene, "l-rbind", _AUTO, entry("rbind"))
    for how in ("shared", "slave", "private", "unbindable"):
        yield _one(scene, f"l-{how}", _AUTO, entry(f"rbind,{how}"))
    for how in ("shared", "rshared", "rslave", "private"):
        yield _one(scene, f"l-root-{how}", _AUTO, f"lxc.rootfs.options = {how}", entry("rbind"))
    ids = ("lxc.idmap = u 0 100000 65536", "lxc.idmap = g 0 100000 65536")
    yield _one(scene, "l-user", _AUTO, *ids, entry("rbind"))
    yield from _two_of_one_name(scene)


def _one(scene: Scene, name: str, *lines: str, path: str = "/var/lib/lxc") -> Target | Missing:
    tree = f"{path}/{name}/rootfs"
    unpack(BUSYBOX, tree)
    if any("idmap" in line for line in lines):
        scene.run("chown", "-R", "100000:100000", tree)
    always = [f"lxc.uts.name = {name}", f"lxc.rootfs.path = dir:{tree}", "lxc.net.0.type = none"]
    always.append("lxc.apparmor.profile = unconfined")
    Path(f"{path}/{name}/config").write_text("\n".join([*always, *lines, ""]))
    shown = " ".join(line.replace("lxc.", "").replace(" = ", "=") for line in lines if line != _AUTO)
    log = f"/tmp/{name}.log"
    try:
        scene.run("lxc-start", "-P", path, "-n", name, "-o", log, "-l", "INFO", "--", "/bin/sleep", "1d")
    except Failed as error:
        wrong = [line for line in Path(log).read_text(errors="replace").splitlines() if " ERROR " in line]
        return Missing(shown, wrong[0][-200:] if wrong else str(error))
    pid = int(scene.run("lxc-info", "-P", path, "-n", name, "-p", "-H"))
    return Target(shown or "(no option)", pid, (name,), f"{name} (lxc)")


def _two_of_one_name(scene: Scene) -> Iterator[Target | Missing]:
    """In another directory: lxc puts a number behind the cgroup of the second."""
    os.makedirs("/srv/lxc", exist_ok=True)
    made = _one(scene, "l-default", _AUTO, path="/srv/lxc")
    if isinstance(made, Missing):
        yield Missing("two of one name", made.why)
    else:
        yield Target("another of the name l-default", made.pid, ())


def stop(scene: Scene) -> None:
    """All of them."""
    for path in ("/var/lib/lxc", "/srv/lxc"):
        for name in scene.run("lxc-ls", "-P", path, "-1", "--running").split() if os.path.isdir(path) else ():
            scene.run("lxc-stop", "-P", path, "-k", "-n", name)
    scene.no_volumes()


LXC = Runtime("lxc", ("lxc", "uidmap"), start, stop, (BUSYBOX,))


# Without a network: its dnsmasq would outlive lxd.
_PRESEED = """\
storage_pools: [{name: default, driver: dir}]
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
"""


def start_lxd(scene: Scene) -> Iterator[Target | Missing]:
    """lxd with a directory as its storage."""
    try:
        scene.run("systemctl", "start", "lxd.socket")
        scene.run("lxd", "waitready", "--timeout=20", seconds=30)
        scene.run("sh", "-ec", f"printf '{_PRESEED}' | lxd init --preseed", seconds=60)
    except Failed as error:
        why = scene.run("sh", "-c", "journalctl -u lxd -o cat -n 30 --no-pager | grep -iE 'err|fail|fatal' | tail -n 1")
        yield Missing("lxd", f"{error}; {why[-200:]}")
        return
    metadata = "architecture: x86_64\ncreation_date: 1\nproperties: {description: busybox}\n"
    script = f"""
        mkdir -p /srv/image/rootfs; tar -C /srv/image/rootfs -xf {BUSYBOX}
        mkdir -p /srv/image/rootfs/sbin; ln -sf /bin/busybox /srv/image/rootfs/sbin/init
        printf '{metadata}' > /srv/image/metadata.yaml; tar -C /srv/image -cf /srv/image.tar metadata.yaml rootfs
        lxc image import /srv/image.tar --alias bb
    """
    try:
        scene.run("sh", "-ec", script)
    except Failed as error:
        yield Missing("lxc image import", str(error))
        return
    scene.volumes()
    for name, options in {
        "x-default": (),
        "x-privileged": ("-c", "security.privileged=true"),
    }.items():
        try:
            scene.run("lxc", "launch", "bb", name, *options)
            pid = next(int(line.split()[1]) for line in scene.run("lxc", "info", name).splitlines() if "PID:" in line)
            yield Target(" ".join(options) or "(no option)", pid, (name,), f"{name} (lxc)")
        except Failed as error:
            yield Missing(" ".join(options) or "(no option)", str(error))


def stop_lxd(scene: Scene) -> None:
    """All of it."""
    scene.run(
        "sh",
        "-c",
        """
        lxc delete -f x-default x-privileged; lxd shutdown; systemctl stop lxd.socket lxd; umount -R /srv/vol; true
        """,
    )


LXD = Runtime("lxd", ("lxd", "lxd-client"), start_lxd, stop_lxd, (BUSYBOX,), host_table=False)

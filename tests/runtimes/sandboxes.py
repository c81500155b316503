"""What puts one program into a mount namespace of its own, or into a chroot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tests.runtimes.packages import BUSYBOX
from tests.runtimes.scene import VOLUME, Failed, Scene, unpack, wait_for
from tests.runtimes.target import Missing, Runtime, Target

_TREE = "/srv/tree"
_SLEEP = ("sleep", "1d")


def _begun(scene: Scene, shown: str, *argv: str, user: bool = False, shown_name: str = "") -> Target | Missing:
    """A program in the foreground, with the first ``sleep`` it comes to."""
    pid = wait_for([scene.begin(*argv, user=user)], "sleep", 8)
    shown = f"{shown} (as a user)" if user else shown
    return Target(shown, pid, container=False, shown=shown_name) if pid else Missing(shown, scene.said())


def start_bubblewrap(scene: Scene) -> Iterator[Target | Missing]:
    """As root, and as a user."""
    scene.volumes()
    scene.kim()
    system = ("--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64")
    for user in (False, True):
        yield _begun(scene, "--dev-bind / /", "bwrap", "--dev-bind", "/", "/", *_SLEEP, user=user)
        binds = (*system, "--symlink", "usr/bin", "/bin", "--tmpfs", "/tmp", "--bind", VOLUME, "/vol")
        yield _begun(scene, f"--ro-bind /usr /usr --bind {VOLUME} /vol", "bwrap", *binds, *_SLEEP, user=user)
        proc = ("--dev-bind", "/", "/", "--unshare-pid", "--proc", "/proc", "--dev", "/dev")
        yield _begun(scene, "--unshare-pid --proc /proc --dev /dev", "bwrap", *proc, *_SLEEP, user=user)


def stop_bubblewrap(scene: Scene) -> None:
    """All of them."""
    scene.end()
    scene.no_kim()
    scene.no_volumes()


BUBBLEWRAP = Runtime("bubblewrap", ("bubblewrap",), start_bubblewrap, stop_bubblewrap)


def start_unshare(scene: Scene) -> Iterator[Target | Missing]:
    """unshare(1) with each propagation."""
    scene.volumes()
    scene.kim()
    for how in ("unchanged", "shared", "slave", "private"):
        yield _begun(scene, f"-m --propagation {how}", "unshare", "-m", "--propagation", how, *_SLEEP)
    yield _begun(scene, "-mpf --mount-proc", "unshare", "-mpf", "--mount-proc", *_SLEEP)
    yield _begun(scene, "-Ur -mpf --mount-proc", "unshare", "-Urmpf", "--mount-proc", *_SLEEP, user=True)
    if not scene.few:
        mixed = ("-mpf", "--propagation", "unchanged", "--mount-proc", *_SLEEP)
        yield _begun(scene, "-mpf --propagation unchanged --mount-proc", "unshare", *mixed)
        unchanged = ("-Urm", "--propagation", "unchanged", *_SLEEP)
        yield _begun(scene, "-Ur -m --propagation unchanged", "unshare", *unchanged, user=True)


UNSHARE = Runtime("unshare", (), start_unshare, stop_bubblewrap)


def start_firejail(scene: Scene) -> Iterator[Target | Missing]:
    """As a user, which it is made for."""
    scene.volumes()
    scene.kim()
    _show_a_kernel_thread(scene)
    private = ("--private", "--private-dev", "--private-tmp")
    for options in (
        (),
        private,
        ("--whitelist=~/x",),
        ("--overlay-tmpfs",),
        ("--read-only=/srv",),
        ("--blacklist=/srv",),
    ):
        argv = ("firejail", "--noprofile", "--quiet", *options, *_SLEEP)
        yield _begun(scene, " ".join(options) or "(no option)", *argv, user=True)


def _show_a_kernel_thread(scene: Scene) -> None:
    """Without one among the first ten pids firejail believes that it is in a sandbox already, and makes none."""
    script = """
        cp /bin/sleep /run/kthreadd
        for last in 1 2 3 4 5 6 7 8 9; do
            echo $last > /proc/sys/kernel/ns_last_pid
            /run/kthreadd 1d & [ $! -gt 10 ] || exit 0
            kill $!
        done
        """
    scene.run("bash", "-c", f"exec >/dev/null 2>&1; {script}")


def stop_firejail(scene: Scene) -> None:
    """All of them, and what looked like a kernel thread."""
    scene.end()
    scene.run("killall", "-q", "kthreadd")
    # Firejail leaves these for its next sandbox.
    scene.run("sh", "-c", "umount $(awk '$5 ~ /^.run.firejail/ {print $5}' /proc/self/mountinfo)")
    scene.no_kim()
    scene.no_volumes()


FIREJAIL = Runtime("firejail", ("firejail", "psmisc"), start_firejail, stop_firejail)


def start_schroot(scene: Scene) -> Iterator[Target | Missing]:
    """It has no mount namespace: the mounts are the host's."""
    scene.volumes()
    unpack(BUSYBOX, _TREE)
    os.makedirs("/etc/schroot/chroot.d", exist_ok=True)
    text = f"[busybox]\ntype=directory\ndirectory={_TREE}\nprofile=default\nusers=root\nshell=/bin/sh\n"
    Path("/etc/schroot/chroot.d/busybox.conf").write_text(text)
    plain = f"[plain]\ntype=plain\ndirectory={_TREE}\nusers=root\nshell=/bin/sh\n"
    Path("/etc/schroot/chroot.d/plain.conf").write_text(plain)
    for kind, name in (("directory", "busybox"), ("plain", "plain")):
        yield _begun(scene, f"type={kind}", "schroot", "-c", name, "-d", "/", "--", *_SLEEP)


def stop_schroot(scene: Scene) -> None:
    """Its sessions."""
    scene.end()
    scene.run("schroot", "-e", "--all-sessions")
    scene.no_volumes()


SCHROOT = Runtime("schroot", ("schroot",), start_schroot, stop_schroot, (BUSYBOX,))


def start_charliecloud(scene: Scene) -> Iterator[Target | Missing]:
    """As a user, in a user namespace."""
    scene.volumes()
    scene.kim()
    unpack(BUSYBOX, _TREE)
    for user in (True, False):
        argv = (
            "env",
            "USER=kim" if user else "USER=root",
            "ch-run",
            "--no-home",
            "-w",
            "--bind",
            f"{VOLUME}:/vol",
            _TREE,
            "--",
            *_SLEEP,
        )
        yield _begun(scene, f"--bind {VOLUME}:/vol", *argv, user=user)


CHARLIECLOUD = Runtime("charliecloud", ("charliecloud",), start_charliecloud, stop_bubblewrap, (BUSYBOX,))


def start_flatpak(scene: Scene) -> Iterator[Target | Missing]:
    """An application of our own, on a runtime of our own, as nothing is downloaded."""
    scene.volumes()
    scene.kim()
    script = f"""
        mkdir -p /srv/rt/usr /srv/rt/files /srv/app/files/bin; tar -C /srv/rt/usr -xf {BUSYBOX}
        base=org.example.Base/x86_64/1
        printf "[Runtime]\\nname=org.example.Base\\nruntime=$base\\nsdk=$base\\n" > /srv/rt/metadata
        printf "[Application]\\nname=org.example.App\\nruntime=$base\\ncommand=sleep\\n" > /srv/app/metadata
        mkdir -p /srv/app/export; cp -a /srv/rt/usr/. /srv/rt/files/
        flatpak build-export --runtime /srv/repo /srv/rt 1
        flatpak build-export /srv/repo /srv/app 1
        flatpak remote-add --no-gpg-verify ours /srv/repo
        flatpak install -y --noninteractive ours org.example.Base//1 org.example.App//1
    """
    try:
        scene.run("sh", "-ec", script)
    except Failed as error:
        yield Missing("flatpak install", str(error))
        return
    for options in ((), ("--filesystem=host",), (f"--filesystem={VOLUME}",)):
        argv = ("flatpak", "run", *options, "--command=sleep", "org.example.App", "1d")
        found = _begun(scene, " ".join(options) or "(no option)", *argv, user=True)
        yield found


FLATPAK = Runtime("flatpak", ("flatpak", "ostree", "dbus-user-session"), start_flatpak, stop_bubblewrap, (BUSYBOX,))


def start_buildah(scene: Scene) -> Iterator[Target | Missing]:
    """The sandbox of a step of a build, and that of a user's ``unshare``."""
    Path("/etc/containers").mkdir(exist_ok=True)
    scene.volumes()
    scene.kim()
    scene.run("sh", "-ec", f"c=$(buildah from scratch); buildah add $c {BUSYBOX} /; buildah rename $c work")
    for isolation in ("oci", "chroot"):
        for options in ((), ("-v", f"{VOLUME}:/vol:rshared"), ("-v", f"{VOLUME}:/vol:rslave")):
            more = ("--runtime=runc", "--network=none") if isolation == "oci" else ("--network=host",)
            argv = ("buildah", "run", f"--isolation={isolation}", *more, *options, "work")
            shown = f"--isolation={isolation} {' '.join(options)}".strip()
            found = _begun(scene, shown, *argv, "--", "/bin/sleep", "1d")
            yield found
    yield _begun(scene, "unshare", "buildah", "unshare", *_SLEEP, user=True)


def stop_buildah(scene: Scene) -> None:
    """Its working containers."""
    scene.end()
    scene.run("buildah", "rm", "-a")
    scene.no_kim()
    scene.no_volumes()


BUILDAH = Runtime("buildah", ("buildah", "runc", "crun", "uidmap"), start_buildah, stop_buildah, (BUSYBOX,))

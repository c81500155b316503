"""The unit of a watch, run by a systemd of its own: on a throwaway host, in namespaces of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

import pytest

from tests.runtimes.host import Host, Unavailable, own_mounts
from tests.support.throwaway import in_fork

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/lib/systemd/systemd"), reason="it takes root, and systemd's program"
)

UNIT = "mntscope-watch"

CAPABILITIES = 1 << 21 | 1 << 19 | 1 << 18 | 1 << 2
"""CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_SYS_CHROOT, CAP_DAC_READ_SEARCH (linux/capability.h)."""

INSTALL = f"""
printf '#!/bin/sh\\nexec {sys.prefix}/bin/python -B -m mntscope "$@"\\n' > /usr/bin/mntscope
chmod 755 /usr/bin/mntscope
cp docs/systemd/{UNIT}.service /etc/systemd/system/
systemctl daemon-reload
systemd-analyze verify --man=no {UNIT}.service && systemctl start {UNIT}
"""
"""systemctl waits until it says that it is ready."""

LEAK = """
(unshare --mount --propagation shared sh -c 'mount -t tmpfs t /mnt; exec sleep 1d' < /dev/null > /dev/null 2>&1 &)
for i in $(seq 300); do journalctl -u mntscope-watch -o cat | grep '"kind": "leak"' && exit; sleep 0.1; done; exit 1
"""

METRICS = f"""{sys.prefix}/bin/python -c 'from urllib.request import urlopen
print(urlopen("http://127.0.0.1:9719/metrics").read().decode())'"""

KILL = f"""
before=$(systemctl show -P MainPID {UNIT})
kill -9 $before
for i in $(seq 300); do
  now=$(systemctl show -P MainPID {UNIT})
  [ $now != 0 ] && [ $now != $before ] && [ $(systemctl is-active {UNIT}) = active ] && exit; sleep 0.1
done; exit 1
"""


def on_a_host(steps: Callable[[Callable[[str], str]], None]) -> str:
    """Why there is no such host, or nothing; *steps* are given what runs a line of shell there."""

    def body() -> str:
        try:
            own_mounts()
            with Host("watch") as host:

                def shell(line: str) -> str:
                    done = host.run(["sh", "-c", line], 120)
                    assert done.returncode == 0, (line, done.stdout, done.stderr)
                    return done.stdout.strip()

                steps(shell)
        except Unavailable as error:
            return str(error)
        return ""

    return in_fork(body)


def test_it_starts_tells_of_a_leak_is_started_again_and_ends() -> None:
    def steps(shell: Callable[[str], str]) -> None:
        shell(INSTALL)
        pid = shell(f"systemctl show -P MainPID {UNIT}")
        status = dict(line.split(":\t", 1) for line in shell(f"cat /proc/{pid}/status").splitlines() if ":\t" in line)
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == CAPABILITIES
        assert status["NoNewPrivs"] == "1"
        # In no namespace of its own: that would be one more that receives what the host mounts.
        assert shell(f"readlink /proc/{pid}/ns/mnt") == shell("readlink /proc/1/ns/mnt")

        leak = json.loads(shell(LEAK).splitlines()[0])
        assert (leak["schema"], leak["also"][0]["namespace"]) == ("mntscope.watch/1", "host")
        assert 'mntscope_watch_events_total{kind="leak"} 1' in shell(METRICS)

        shell(KILL)
        assert shell("stat -c '%a %n' /var/lib/mntscope /var/lib/mntscope/*").splitlines() == [
            "700 /var/lib/mntscope",
            "600 /var/lib/mntscope/watch.rec",
            "600 /var/lib/mntscope/watch.rec.1",
        ]
        shell(f"systemctl stop {UNIT}")
        assert shell(f"systemctl show -P Result {UNIT}") == "success"
        # What the killed one had recorded, and the one after it.
        for file in ("watch.rec.1", "watch.rec"):
            views = json.loads(shell(f"mntscope ns --snapshot /var/lib/mntscope/{file} --format json"))
            assert "leaks" in {view["verdict"] for view in views["namespaces"]}

    if why := on_a_host(steps):
        pytest.skip(why)

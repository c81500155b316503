"""The options of ``docker run`` and ``podman run``, and which words of a command are their values.

docker-run(1), podman-run(1); ``create`` has the same. What is not among them is an error: whether the next word is its
value or the image, nobody could tell.
"""

from __future__ import annotations

from collections.abc import Sequence

from mntscope.base.records import NamedTuple
from mntscope.parse.manifests.reading import Reading, shown
from mntscope.parse.manifests.volumes import Given

_FLAGS_WORDS = """
    detach interactive tty rm privileged read-only init no-healthcheck oom-kill-disable publish-all sig-proxy quiet
    disable-content-trust help use-api-socket replace rmi no-hosts no-hostname tls-verify http-proxy env-host passwd
    read-only-tmpfs rootfs unsetenv-all
"""
FLAGS = frozenset(_FLAGS_WORDS.split())
"""Those that are true by themselves, and take a value only behind ``=``."""

_VALUED_WORDS = """
    add-host annotation arch attach authfile blkio-weight blkio-weight-device cap-add cap-drop cert-dir cgroup-conf
    cgroup-parent cgroupns cgroups chrootdirs cidfile conmon-pidfile cpu-count cpu-percent cpu-period cpu-quota
    cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems creds decryption-key detach-keys device
    device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops dns dns-opt dns-option
    dns-search domainname entrypoint env env-file env-merge expose gidmap gpus group-add group-entry health-cmd
    health-interval health-log-destination health-max-log-count health-max-log-size health-on-failure health-retries
    health-start-interval health-start-period health-startup-cmd health-startup-interval health-startup-retries
    health-startup-success health-startup-timeout health-timeout hostname hosts-file hostuser image-volume init-ctr
    init-path io-maxbandwidth io-maxiops ip ip6 ipc isolation kernel-memory label label-file link link-local-ip
    log-driver log-opt mac-address memory memory-reservation memory-swap memory-swappiness mount name net net-alias
    network network-alias oom-score-adj os passwd-entry personality pid pidfile pids-limit platform pod pod-id-file
    preserve-fd preserve-fds publish pull rdt-class requires restart retry retry-delay runtime sdnotify
    seccomp-policy secret security-opt shm-size shm-size-systemd stop-signal stop-timeout storage-opt subgidname
    subuidname sysctl systemd timeout tmpfs tz uidmap ulimit umask unsetenv user userns uts variant volume
    volume-driver volumes-from workdir
"""
VALUED = frozenset(_VALUED_WORDS.split())

LETTERS = {
    "d": "detach",
    "i": "interactive",
    "t": "tty",
    "P": "publish-all",
    "q": "quiet",
    "a": "attach",
    "c": "cpu-shares",
    "e": "env",
    "h": "hostname",
    "l": "label",
    "m": "memory",
    "p": "publish",
    "u": "user",
    "v": "volume",
    "w": "workdir",
}

_GLOBAL_VALUED_WORDS = """
    config context host log-level tlscacert tlscert tlskey cgroup-manager conmon connection events-backend hooks-dir
    identity imagestore module network-cmd-path network-config-dir out pull-option root runroot runtime runtime-flag
    ssh storage-driver storage-opt tmpdir url volumepath cdi-spec-dir
"""
GLOBAL_VALUED = frozenset(_GLOBAL_VALUED_WORDS.split())
"""Those before ``run`` that take a value; ``-c`` and ``-H`` and ``-l`` do, too."""


class Said(NamedTuple):
    """An option that was given."""

    name: str
    """The long one, without its dashes: ``volume`` for ``-v``."""
    value: Given
    """Empty where there is none."""

    @property
    def is_true(self) -> bool:
        """Whether a flag is set: ``--privileged``, and not ``--privileged=false``."""
        return self.value.text.lower() in ("", "1", "t", "true")


def read_options(words: Sequence[Given], reading: Reading) -> tuple[list[Said], Sequence[Given]]:
    """The options that *words* begin with, and the words behind them: an image and what runs in it.

    Those behind one that is not known are not read.
    """
    said: list[Said] = []
    at = 0
    while at < len(words) and words[at].text.startswith("-") and words[at].text != "-":
        word = words[at]
        at += 1
        if word.text == "--":
            break
        if word.text.startswith("--"):
            name, equals, _ = word.text[2:].partition("=")
            value = word.behind(len(name) + 3) if equals else None
        else:
            name, value = _letters(word, said)
        if name not in FLAGS and name not in VALUED:
            reading.error(f"the option {shown(word.text.partition('=')[0])} is not known", word.where)
            return said, words[at:] or words[-1:]
        if value is None and name in FLAGS:
            value = Given("", word.where)
        elif value is None:
            if at == len(words):
                reading.error(f"the option {shown(word.text)} takes a value", word.where)
                break
            value = words[at]
            at += 1
        said.append(Said(_SAME.get(name, name), value))
    return said, words[at:]


_SAME = {"net": "network", "dns-option": "dns-opt", "net-alias": "network-alias"}


def _letters(word: Given, said: list[Said]) -> tuple[str, Given | None]:
    """The last option of ``-itv``, and its value, if that is in the same word; those before it are *said*."""
    for at in range(1, len(word.text)):
        name = LETTERS.get(word.text[at], f"-{word.text[at]}")
        following = word.text[at + 1 : at + 2]
        if name not in FLAGS or following in ("=", ""):
            # As Go's pflag has it, -v=a:b is -v a:b.
            return name, word.behind(at + 1 + (following == "=")) if following else None
        said.append(Said(name, Given("", word.where)))
    return "", None

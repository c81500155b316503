"""What mntscope says of targets, compared with what the kernel does."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import mntscope
from mntscope.base.paths import under
from mntscope.live import capture
from mntscope.model import Mount
from mntscope.snapshot import Snapshot
from tests.runtimes.judge import Judge, Place, Seen
from tests.runtimes.target import Row, Target

_HOST = "host"

_MOST = 60
"""Of more places than these, only some are mounted at."""

_SECONDS = 90
"""That a command of mntscope's may take."""

_IRREVERSIBLE = "undo could not put it back"

# Of these the host's own systemd cannot do without even for the moment in which something else is there.
_SPARED = re.compile(r"/proc(/|$)|/sys/fs/cgroup(/|$)")


class Check:
    """The targets of one runtime, all running, in one snapshot."""

    def __init__(self, runtime: str, targets: Sequence[Target]) -> None:
        self._targets = targets
        self.snapshot = settled([target.pid for target in targets])
        pids = {view.label: view.process.pid for view in self.snapshot.views if view.process}
        self._judge = Judge({**pids, _HOST: 1})
        self._labels = {target.pid: self.snapshot.view(target.pid).label for target in targets}
        self._diffs = {target.pid: mntscope.diff(self.snapshot, target.pid) for target in targets}
        self._into: defaultdict[str, list[Place]] = defaultdict(list)
        """By label: where a mount of the host arrived, and the place on the host."""
        self._host_wrong: list[str] = []
        self.rows = {target.pid: Row(runtime, target.option) for target in targets}

    def host(self) -> None:
        """Mount at every place of the host that matters: what arrives where, and whether it was predicted."""
        for place in self._places():
            seen, wrong, doubt = self._compared(1, _HOST, place)
            if seen.errno or not seen.there:
                continue
            for label, path in seen.mounts:
                self._into[label].append((path, place))
            for target in self._targets:
                # What is wrong is told of those whom it is about: all, if it is about the host alone.
                label = self._labels[target.pid]
                row = self.rows[target.pid]
                row.checks += 1
                about = {label_of for label_of, _ in wrong}
                if label in about or (about and not about & set(self._labels.values())):
                    row.predict_doubts += doubt
                    row.predict_wrong += [] if doubt else [f"host {place}: {text}" for _, text in wrong][:3]

    def target(self, target: Target) -> Row:
        """Mount at every mount of it, and compare; then isolate it, mount again, undo, and compare the tables."""
        row, label, found = self.rows[target.pid], self._labels[target.pid], self._diffs[target.pid]
        began = time.monotonic()
        own = label == _HOST
        says_out = {leak.path for leak in found.leaks if leak.direction != "in" and not leak.hidden}
        points = spread([*(mount.mount_point for mount in _table(target.pid)), *sorted(says_out)])
        row.mounts, row.says = len(_table(target.pid)), found.verdict
        if target.foreseen is not None:
            row.previewed = "doubted" if target.foreseen.doubted else "exact"
            row.preview_wrong = list(target.foreseen.wrong)
        reached: dict[str, set[str]] = {}
        tried = set()
        for path in points:
            seen, wrong, doubt = self._compared(target.pid, target.pid, path)
            if not seen.there:
                continue
            row.predict_doubts += bool(wrong and doubt)
            row.predict_wrong += [] if doubt else [f"{path}: {text}" for _, text in wrong]
            if seen.errno:
                continue
            row.checks += 1
            tried.add(path)
            if not own and (there := {place for view, place in seen.mounts if view == _HOST}):
                reached[path] = there
        row.out = sorted(reached)
        into = [] if own else self._into[label]
        row.into = sorted({place for _, place in into})
        row.kernel = "same-namespace" if own else "leaks" if row.out else "receives" if into else "isolated"
        row.diff_wrong += self._diff_wrong(target, row, reached, tried)
        row.safe = [] if own else _remedies(target)
        row.isolated = "the host's own namespace" if own else self._isolate(target, row, reached)
        row.seconds += time.monotonic() - began
        return row

    def _diff_wrong(self, target: Target, row: Row, reached: dict[str, set[str]], tried: set[str]) -> Iterator[str]:
        found = self._diffs[target.pid]
        if found.verdict != row.kernel and not any(leak.hidden for leak in found.leaks):
            yield f"the verdict is {found.verdict}, but the kernel's {row.kernel}"
        if row.kernel == "same-namespace":
            return
        says: dict[str, set[str]] = defaultdict(set)
        for leak in found.leaks:
            if leak.direction != "in" and not leak.hidden:
                says[leak.path] |= set(leak.lands_at)
        for path in sorted(set(says) | set(reached)):
            if path in tried and says.get(path, set()) != reached.get(path, set()):
                yield f"{path} reaches {sorted(reached.get(path, ()))}, said {sorted(says.get(path, ()))}"
        arrives = {path for path, _ in self._into[self._labels[target.pid]]}
        said = {leak.path for leak in found.leaks if leak.direction != "out" and not leak.hidden}
        if bool(arrives) != bool(said):
            yield f"from the host arrives {sorted(arrives)[:5]}, said {sorted(said)[:5]}"

    def _places(self) -> list[str]:
        """Mount points of the host, places in its mounts that targets show, and those that `diff` names."""
        hosts = _table(1)
        places = set()
        by_device: defaultdict[str, set[str]] = defaultdict(set)
        for target in self._targets:
            for mount in _table(target.pid):
                by_device[mount.device].add(mount.root)
            for leak in self._diffs[target.pid].leaks:
                if leak.direction != "out" and not leak.hidden:
                    places.add(leak.lands_at[0])
        for mount in hosts:
            above = mount.root.rstrip("/")
            if mount.mount_point.startswith("/srv"):
                places.add(mount.mount_point)
            for root in by_device[mount.device]:
                if root.startswith(f"{above}/") and root != mount.root:
                    places.add(f"{mount.mount_point.rstrip('/')}/{root[len(above) + 1 :]}")
        # Those always; of the others some.
        others = spread([mount.mount_point for mount in hosts if mount.mount_point not in places])
        return sorted(place for place in {*places, *others} if not _SPARED.match(place))

    def _compared(self, pid: int, label: int | str, path: str) -> tuple[Seen, list[tuple[str, str]], bool]:
        """What the kernel made of a mount, what was predicted otherwise (label and words), and whether with a doubt."""
        seen = self._judge.mount(pid, path)
        if not seen.there:
            return seen, [], False
        quoted = shlex.quote(path)
        kind = f"--bind {shlex.quote(seen.source)} {quoted}" if seen.file else f"-t tmpfs probe {quoted}"
        said = mntscope.predict(self.snapshot, label, f"mount {kind}")
        name = errno.errorcode.get(seen.errno, str(seen.errno)) if seen.errno else None
        if (name is None) != (said.errno is None):
            return seen, [(str(label), f"{name or 'done'}, predicted {said.errno or 'done'}")], bool(said.uncertain)
        if name:
            return seen, [], False
        expected: Counter[Place] = Counter()
        types: Counter[tuple[str, str, str]] = Counter()
        for effect in said.effects:
            if effect.change == "mount" and effect.after:
                place = (effect.namespace, effect.path)
                expected[place] += 1
                types[(*place, effect.after.propagation)] += 1
        wrong = [(place[0], f"not predicted in {place[0]} at {place[1]}") for place in sorted(seen.mounts - expected)]
        wrong += [(place[0], f"only predicted in {place[0]} at {place[1]}") for place in sorted(expected - seen.mounts)]
        if not wrong:
            for label_of, where, kind_of in sorted(seen.types - types):
                said_of = [other for view, point, other in types - seen.types if (view, point) == (label_of, where)]
                wrong.append((label_of, f"{kind_of} at {where} in {label_of}, predicted {said_of}"))
        wrong += [(label_of, f"its umount left {label_of} another table") for label_of in seen.left]
        return seen, wrong, bool(said.uncertain)

    def _isolate(self, target: Target, row: Row, reached: dict[str, set[str]]) -> str:
        """Slave, where something leaks: nothing may reach the host any more, and `undo` puts back every line."""
        if row.says == "isolated":
            return "nothing to do"
        before = self._judge.tables()
        kind = "slave" if row.says == "leaks" else "private"
        code, said, error = _mntscope("isolate", str(target.pid), "/", "--recursive", f"--type={kind}", "--format=json")
        if code:
            row.isolate_wrong += [f"not done, but {label} changed" for label in _changed(before, self._judge.tables())]
            return _IRREVERSIBLE if "undo could not put it back" in error else not_done(row, said, error)
        document = json.loads(said)
        if document["applied"]:
            self._judge.tables_changed()
            # No path leads to these: without --force they stay as they are, and isolate says so.
            covered = [mount["mount_point"] for mount in document["covered"]]
            row.isolate_wrong += self._isolated(target, kind, reached, row.into, covered)
            code, _, error = _mntscope("undo", document["journal"])
            row.isolate_wrong += [f"undo: {error}"] if code else []
        changed = _changed(before, self._judge.tables())
        row.isolate_wrong += [f"undone, but the table of {label} is another" for label in changed]
        self._judge.tables_changed()
        return "wrong" if row.isolate_wrong else "exact" if document["applied"] else "nothing to do"

    def for_good(self, target: Target) -> None:
        """Private with --force, where undo could not put it back: nothing may cross any more. The last that is done."""
        row = self.rows[target.pid]
        if row.isolated != _IRREVERSIBLE:
            return
        words = ("isolate", str(target.pid), "/", "--recursive", "--type=private", "--force", "--format=json")
        code, said, error = _mntscope(*words)
        self._judge.tables_changed()
        if code:
            row.isolated = not_done(row, said, error)
            return
        row.isolate_wrong += self._isolated(target, "private", {path: set() for path in row.out}, row.into)
        row.isolated = "wrong" if row.isolate_wrong else "for good"

    def _isolated(
        self,
        target: Target,
        kind: str,
        reached: dict[str, set[str]],
        into: Sequence[str],
        covered: Sequence[str] = (),
    ) -> Iterator[str]:
        """What still crosses, by the kernel and by `diff`; but for what arrives in mounts that are *covered*."""
        label = self._labels[target.pid]
        for path in reached:
            if any(view == _HOST for view, _ in self._judge.mount(target.pid, path).mounts):
                yield f"isolated, but {path} still reaches the host"
        for place in into[:20] if kind == "private" else ():
            arrived = [path for view, path in self._judge.mount(1, place).mounts if view == label]
            if any(not any(under(path, above) for above in covered) for path in arrived):
                yield f"isolated, but {place} of the host still arrives"
        found = mntscope.diff(capture([target.pid], everything=True), target.pid)
        still = [leak.path for leak in found.leaks if not leak.hidden and (kind == "private" or leak.direction != "in")]
        if still:
            yield f"isolated, but diff names {still}"


def not_done(row: Row, said: str, error: str) -> str:
    """Why nothing was isolated. That is wrong unless it was refused: what was begun is finished, and in time."""
    refused = said.startswith("{") and json.loads(said)["journal"] is None
    row.isolate_wrong += [] if refused else [f"isolate: {error}"]
    return error


def settled(pids: Sequence[int]) -> Snapshot:
    """All that is mounted, once it has stayed the same for two seconds: what was booted starts services for a while."""
    seen = capture(pids, everything=True)
    for _ in range(10):
        time.sleep(2)
        before, seen = seen, capture(pids, everything=True)
        if [(view.label, view.mounts) for view in before.views] == [(view.label, view.mounts) for view in seen.views]:
            break
    return seen


def spread(points: Sequence[str]) -> list[str]:
    """Each of them once; of very many some, evenly: a container that is shown the whole host has the mounts of all."""
    every = list(dict.fromkeys(points))
    step = -(-len(every) // _MOST)
    return every[:: max(step, 1)]


def names(target: Target, row: Row, shown: str) -> None:
    """Whether each of the names that it has finds it; *shown* is what `ns` calls it."""
    from mntscope.cli.targets import parse_target

    row.name = shown
    for word, told in target.refused.items():
        row.names += 1
        try:
            row.names_wrong.append(f"{word!r} finds process {parse_target(word).pid}")
        except mntscope.MntscopeError as error:
            missing = [part for part in told if part not in str(error)]
            row.names_wrong += [f"{word!r}: {error}: not a word of {', '.join(missing)}"] if missing else []
    if not target.pid:
        return
    # Of several namespaces in one container, as of the services of a booted one, each has a number besides.
    if target.shown and shown != target.shown and not shown.startswith(f"{target.shown.removesuffix(')')}, "):
        row.names_wrong.append(f"ns calls it {shown!r}, not {target.shown!r}")
    wanted = os.stat(f"/proc/{target.pid}/ns/mnt").st_ino
    words = [f"container:{call}" for call in target.calls] if target.container else []
    words += [*target.calls, *([shown] if shown and (target.calls or target.shown) else [])]
    for word in dict.fromkeys(words):
        row.names += 1
        try:
            pid = parse_target(word).pid or 1
            if os.stat(f"/proc/{pid}/ns/mnt").st_ino != wanted:
                row.names_wrong.append(f"{word!r} finds process {pid}, not {target.pid}")
        except (mntscope.MntscopeError, OSError) as error:
            row.names_wrong.append(f"{word!r}: {error}")


def _table(pid: int) -> list[Mount]:
    return list(mntscope.parse_mountinfo(Path(f"/proc/{pid}/mountinfo").read_bytes()))


def _remedies(target: Target) -> list[str]:
    """The commands that `diff` prints, with PID for the process."""
    _, said, _ = _mntscope("diff", str(target.pid))
    lines = [line.strip() for line in said.splitlines()]
    found = [line for line in lines if line.startswith("mount --namespace")]
    return list(dict.fromkeys(line.replace(f" {target.pid} ", " PID ") for line in found))


def _mntscope(*words: str) -> tuple[int, str, str]:
    """Exit code, output, and the line of trouble."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "mntscope", *words],
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return 2, "", f"mntscope {words[0]} was not over in {_SECONDS} s"
    return done.returncode, done.stdout, done.stderr.strip().replace("\n", " ")


def _changed(before: dict[str, frozenset[bytes]], after: dict[str, frozenset[bytes]]) -> list[str]:
    """The views whose tables differ, each with a line that is gone and one that is new."""
    found = []
    was, now = without_lone_numbers(before), without_lone_numbers(after)
    for label, lines in was.items():
        if label in now and now[label] != lines:
            gone, new = sorted(lines - now[label])[:1], sorted(now[label] - lines)[:1]
            found.append(f"{label}: {os.fsdecode(b' -> '.join([*gone, *new]))}")
    return found


def without_lone_numbers(tables: dict[str, frozenset[bytes]]) -> dict[str, frozenset[bytes]]:
    """The same tables, with ``shared:alone`` for a peer group that has one member and no slave.

    It ends when that member leaves it; another of one member, and of another number, is the same for everybody.
    """
    members: Counter[bytes] = Counter()
    masters = set()
    for line in (line for lines in tables.values() for line in lines):
        for kind, number in re.findall(
            rb" (shared|master|propagate_from):([0-9]+)(?= )", line.partition(b" - ")[0] + b" "
        ):
            if kind == b"shared":
                members[number] += 1
            else:
                masters.add(number)

    def named(match: re.Match[bytes]) -> bytes:
        return b" shared:alone " if members[match[1]] == 1 and match[1] not in masters else match[0]

    return {
        label: frozenset(re.sub(rb" shared:([0-9]+) (?=.*?- )", named, line, count=1) for line in lines)
        for label, lines in tables.items()
    }

"""Watching: sources tell that something has changed, the machine is looked at, and what changed is told.

One round (:meth:`Watcher.step`) waits until a source has news, or something is due: the sweep, the look for new
namespaces, a leak that has lasted. What comes within a moment is one batch. The more there is to do, the longer the
moment: twice what the last batch took, and a twentieth of a second at most.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterable, Mapping
from math import inf
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from mntscope.base.counting import counted
from mntscope.base.records import replace
from mntscope.errors import KernelError
from mntscope.kernel.mount_ids import unique_ids
from mntscope.live import capture
from mntscope.live.procfs import open_proc
from mntscope.model import Mount, View
from mntscope.snapshot import Snapshot
from mntscope.watch import telling
from mntscope.watch.acts import Act, Change
from mntscope.watch.calls import Calls
from mntscope.watch.choice import ByWhat, blind_spots, choose
from mntscope.watch.events import Event, Who
from mntscope.watch.fanotify import FanotifySource
from mntscope.watch.leaks import LeakWatch
from mntscope.watch.polling import PollSource
from mntscope.watch.reading import Reader, within_root
from mntscope.watch.resolve import Resolver, table_acts
from mntscope.watch.source import News, Source, Told, merged
from mntscope.watch.state import Known, Machine, WatchedNamespace
from mntscope.watch.tables import Tables
from mntscope.watch.tracing import TraceSource

BATCH = 0.02
"""Seconds after the first news of a batch: the kernel tells of a system call mount by mount."""
LONGEST_BATCH = 0.05
QUIET = 0.003
"""Seconds without news that end a batch."""
LOOK = 0.5
"""Seconds between two looks for new namespaces; with tracefs, which tells of them, :data:`SELDOM`."""
SELDOM = 2.0
LOOKING = 0.005
"""The part of a processor that these looks may take: of many namespaces they come less often."""
HEARD = 1.0
"""Seconds after a namespace was read in which it may still be told of what was in its table."""
SWEEP = 10.0
"""Seconds between two readings of all tables, unless somebody says otherwise."""


class Round(NamedTuple):
    """What one round came to."""

    events: list[Event]
    acts: list[Act]
    changes: list[Change]
    """All that is another since, in order."""
    born: list[int]
    """The keys of namespaces."""
    gone: list[int]


class Checker(Protocol):
    """Who compares acts with what is predicted: see :mod:`mntscope.watch.check`."""

    def check(
        self, machine: Machine, acts: list[Act], changes: list[Change], stale: Callable[[set[int]], bool]
    ) -> list[Event]:
        """What the kernel did otherwise; *stale* tells whether more had changed in namespaces than was known."""
        ...


class Watcher:
    """A machine that is watched; a context manager, at whose end nothing is left open.

    :raises AccessError: the machine cannot be read; or *by* fanotify, or *trace*, and the kernel does not let it.
    """

    def __init__(
        self,
        *,
        by: ByWhat = "auto",
        trace: bool = False,
        sweep: float = SWEEP,
        checker: Checker | None = None,
        host: int | None = None,
    ) -> None:
        """*host* is the inode of the namespace that plays the host; by default that of pid 1 does."""
        self._host = host
        self.sweep_every = sweep
        self.checker = checker
        self.notes: list[Event] = []
        """What tells of events, and what it cannot see: to be told first."""
        self.batches = self.overflows = self.told = self.unknown = 0
        self._proc = open_proc()
        self._closed = False
        # The one in which all descriptors are.
        self._epoll = select.epoll()
        self._sources: list[Source] = []
        self._touched: set[int] = set()
        """The namespaces of which something has changed since."""
        self._took = 0.0
        self._look_took = 0.0
        self._early = News()
        """What has been collected, and is not followed yet."""
        self._rename: dict[int, float] = {}
        try:
            self._begin(by, trace=trace)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything."""
        while self._sources:
            self._sources.pop().close()
        if not self._closed:
            self._closed = True
            self._epoll.close()
            self._proc.__exit__(None, None, None)

    @property
    def snapshot(self) -> Snapshot:
        """The machine as it is known now."""
        return self.machine.snapshot()

    @property
    def source(self) -> str:
        """The names of what tells of events: ``fanotify``, ``poll, tracefs``."""
        return ", ".join(source.name for source in self._sources)

    # The beginning

    def _begin(self, by: ByWhat, *, trace: bool) -> None:
        self.reader = Reader(self._proc)
        # Tracing first: what it cannot do is an error, and then nothing has been begun yet.
        tracing = self.tracing = TraceSource(self._proc) if trace else None
        main, why = choose(by, self.reader, self._name_of, self._note_processes)
        self._note(*why)
        self._sources = [main, *([tracing] if tracing else [])]
        self.by_ids = isinstance(main, FanotifySource)
        self.reader.by_ids &= self.by_ids
        # Marked, then read, then what came meanwhile: nothing is missed, and what is known already is not told.
        first = capture()
        if self._host is not None:
            playing = [view.label for view in first.views if view.namespace.inode == self._host]
            first = replace(first, host_label=next(iter(playing), first.host_label))
        self.machine = Machine(first, unique=self.by_ids)
        for view in first.views:
            self._add_first(view)
        self.resolver = Resolver(self.machine, self.reader)
        self._calls = Calls(self.machine)
        self._tables = Tables(self.machine, self.reader, self.resolver)
        for namespace in self.machine.namespaces.values():
            main.watch(namespace)
        for source in self._sources:
            source.register(self._epoll)
        self._early = self._collected()
        for source in self._sources:
            self._note(f"by {source.name}", *blind_spots(source, self.reader, traced=tracing is not None))
        self._note(*map(str, first.not_seen))
        nameless = [view for view in first.views if self.reader.key(view.namespace) is None]
        if nameless:
            self._note(f"of {counted(len(nameless), 'namespace')} nothing that changes is seen; run mntscope as root")
        self.leaks = LeakWatch(self.machine)
        self.leaks.begin()
        self._all_heard_of()
        self._swept = self._looked = time.monotonic()

    def _note(self, *lines: str) -> None:
        for line in lines:
            self.notes.append(replace(telling.event("source"), text=line))

    def _add_first(self, view: View) -> None:
        namespace = view.namespace
        key = self.reader.key(namespace)
        if key is None:
            if view.label != "host":
                return
            key = namespace.inode or 1
        mounts: dict[int, Mount]
        if self.by_ids:
            numbers = unique_ids(key)
            mounts = {numbers[mount.mount_id]: mount for mount in view.mounts if mount.mount_id in numbers}
            for number in set(numbers.values()) - mounts.keys():
                if mount := self.reader.mount(key, number):
                    mounts[number] = mount
            mounts = within_root(mounts)
        else:
            mounts = {mount.mount_id: mount for mount in view.mounts}
        namespace_ = self.machine.add(key, view, mounts)
        namespace_.order = () if self.by_ids else tuple(mounts)

    def _name_of(self, inode: int) -> str:
        namespace = self.machine.by_inode(inode) if hasattr(self, "machine") else None
        return namespace.name if namespace else ""

    def _note_processes(self, namespace: WatchedNamespace) -> None:
        members = self.reader.members().get(namespace.inode, [])
        self.machine.note_processes(namespace.key, self.reader.processes(namespace.inode, members))

    # A round

    def step(self, patience: float = 1.0) -> Round:
        """Wait for so many seconds at most, and tell what has changed; mostly nothing has."""
        news = [self._early or self._wait(patience)]
        self._early = News()
        if any(news):
            # What belongs together comes together.
            until = time.monotonic() + max(BATCH, min(LONGEST_BATCH, 2 * self._took))
            while (left := until - time.monotonic()) > 0:
                news.append(self._collected(left))
            # A batch ends between two system calls, if there is a moment between two.
            until += LONGEST_BATCH
            while time.monotonic() < until and (more := self._collected(QUIET)):
                news.append(more)
        begun = time.monotonic()
        done = Round([], [], [], [], [])
        every = merged(news)
        if every or begun >= self._due:
            self.batches += 1
            self._handle(every, done)
        # Also what takes nothing but a look at the clock.
        self._tell_leaks(done)
        if done.born or every.lost:
            self._all_heard_of()
        if every:
            self._took = time.monotonic() - begun
        return done

    def _all_heard_of(self) -> None:
        """Of what was read in this round, what was told before that will have been heard soon."""
        for namespace in self.machine.namespaces.values():
            if namespace.since == inf:
                namespace.since = time.monotonic() + HEARD

    def finish(self) -> Round:
        """The last round: what is still to come, and all tables once more."""
        done = Round([], [], [], [], [])
        for _ in range(3):
            early, self._early = self._early, News()
            self._handle(merged([early, self._collected()]), done, last=True)
            self._early = merged([self._early, self._collected()])
            if not self._early:
                break
        return done

    def _wait(self, patience: float) -> News:
        leak = inf if self.leaks.due is None else self.leaks.due
        return self._collected(max(0.0, min(patience, min(self._due, leak) - time.monotonic())))

    def _collected(self, patience: float = 0.0) -> News:
        """What all sources have to tell, as soon as one has, or after so many seconds."""
        ready = [fd for fd, _ in self._epoll.poll(patience, 4096)]
        return merged(source.collect(ready) for source in self._sources)

    @property
    def _look_every(self) -> float:
        return max(SELDOM if self.tracing else LOOK, self._look_took / LOOKING)

    @property
    def _due(self) -> float:
        """When there is something to do though nothing is told (CLOCK_MONOTONIC)."""
        return min(self._swept + self.sweep_every, self._looked + self._look_every, self._calls.due)

    def _handle(self, news: News, done: Round, *, last: bool = False) -> None:
        now = time.monotonic()
        strangers = any(told.inode and self.machine.key_of(told.inode) is None for told in news.mounts)
        if news.namespaces or strangers or news.lost or last or now >= self._looked + self._look_every:
            self._look_for_namespaces(done)
            if done.born:
                # What is in their tables already belongs to this round.
                news = merged([news, self._collected()])
        # Before any table is read, so that it is known whose call made it another.
        self._calls.add(news.calls)
        if news.lost:
            for namespace in self.machine.namespaces.values():
                namespace.since = inf
            self.overflows += 1
            text = "more came than could be told: all is read again"
            done.events.append(replace(telling.event("overflow"), text=text, known=False))
            # What came before that is known nevertheless.
            self._follow(news, done)
            self._tables.forget()
            self._sweep(done, self.machine.namespaces, whole=True)
        else:
            self._follow(news, done)
        if not last and now >= self._calls.due:
            self._look_at_calls(done)
        if last or now >= self._swept + self.sweep_every:
            self._swept = now
            self._sweep(done, self.machine.namespaces, whole=not self.by_ids)

    def _follow(self, news: News, done: Round) -> None:
        """What the sources tell of single mounts, and of tables."""
        when = time.time(), time.monotonic()
        acts = self._whole(self.resolver.acts(map(self._named, news.mounts)))
        acts = self._without_ended(acts, done)
        for key in {change.namespace for act in acts for change in act.all}:
            self._tables.forget(key)
        if news.tables:
            acts += table_acts(self._tables.read_and_compare(news.tables, self._calls.callers(), whole=True))
        self._tell(acts, done, when)

    def _whole(self, acts: list[Act]) -> list[Act]:
        """The kernel may have been interrupted while it told of the last of them: the rest is waited for, a moment.

        Longer where the kernel shows that there is more, which it does before it tells.
        """
        begun = time.monotonic()
        while acts and not self.resolver.is_whole(acts[-1]):
            waited = time.monotonic() - begun
            if waited > HEARD or (waited > LONGEST_BATCH and not self.resolver.is_untold(acts[-1])):
                break
            more = self._collected(QUIET)
            acts = self.resolver.acts(map(self._named, more.mounts), acts)
            self._early = merged([self._early, replace(more, mounts=())])
        return acts

    def _named(self, told: Told) -> Told:
        """With the name of a process that had ended, if it was traced."""
        who = told.who
        if who is None or who.comm or self.tracing is None or not (comm := self.tracing.comms.get(who.pid)):
            return told
        return told._replace(who=replace(who, comm=comm))

    def _tell(self, acts: list[Act], done: Round, when: tuple[float, float] | None = None) -> None:
        when = when or (time.time(), time.monotonic())
        changes = [change for act in acts for change in act.all]
        quiet, self.resolver.quiet = self.resolver.quiet, []
        self.told += sum(len(act.changes) for act in acts)
        self.unknown += sum(act.first.mount is None for act in acts)
        done.events.extend(telling.of_act(self.machine, act, when) for act in acts)
        done.acts.extend(acts)
        done.changes.extend([*changes, *quiet])
        self._touched.update(change.namespace for change in changes)
        self.leaks.look(changes, when[1])
        if self.checker is None or not acts or not self.by_ids:
            return
        changes += quiet
        late: list[Change] = []

        def stale(namespaces: set[int]) -> bool:
            # The kernel may have been interrupted while it told of an act.
            time.sleep(BATCH)
            self._early = merged([self._early, self._collected()])
            if self._early.mounts or set(self.reader.namespace_keys()) - self.machine.namespaces.keys():
                return True
            missed = self._tables.missed(namespaces)
            late.extend(missed or ())
            return missed is None or bool(missed)

        done.events.extend(self.checker.check(self.machine, acts, changes, stale))
        if late:
            checker, self.checker = self.checker, None
            self._tell(table_acts(late), done)
            self.checker = checker

    # Namespaces

    def _look_for_namespaces(self, done: Round) -> None:
        self._looked, begun = time.monotonic(), time.thread_time()
        here = self.reader.namespace_keys()
        known = self.machine.namespaces.keys()
        for key in [key for key in known if key not in here and key != self.machine.host]:
            # Of what has no identity nothing is heard.
            if self.machine.namespaces[key].inode:
                self._tell_gone(key, done)
        new = [key for key in here if key not in known]
        polling = self._sources[0] if isinstance(self._sources[0], PollSource) else None
        if new and isinstance(self._sources[0], FanotifySource):
            for key, fd in self.reader.open_namespaces():
                if key in new:
                    try:
                        self._sources[0].mark(fd)
                    except KernelError:
                        new.remove(key)
        if new:
            for key, view, mounts in self.reader.born(new):
                namespace = self.machine.add(key, view, mounts)
                namespace.order = () if self.by_ids else tuple(mounts)
                done.born.append(key)
                self._sources[0].watch(namespace)
                self.leaks.look_at(key, time.monotonic())
                self._rename[key] = self._looked + SELDOM
                done.events.append(telling.of_birth(self.machine, key))
        if polling is not None:
            polling.again()
            self._early = merged([self._early, polling.collect(())])
        if not new:
            self._look_took = time.thread_time() - begun
        self._name_again(self._looked)

    def _name_again(self, now: float) -> None:
        """A container's first process is put into its cgroup, and registered, a moment after its namespace is made."""
        due = [key for key, when in self._rename.items() if when <= now]
        for key in due:
            del self._rename[key]
        there = [self.machine.namespaces[key] for key in due if key in self.machine.namespaces]
        for key, view in self.reader.named(there):
            self.machine.rename(key, view)

    def _tell_gone(self, key: int, done: Round, who: Who | None = None) -> None:
        namespace = self.machine.namespaces[key]
        described = replace(telling.event("namespace-gone", namespace.name), count=len(namespace.mounts), who=who)
        changes = [Change("umount", key, number, mount, None, who) for number, mount in namespace.mounts.items()]
        told = self.leaks.gone(key)
        self.machine.drop(key)
        self.leaks.look(changes, time.monotonic())
        # The slaves of a group that is gone have another master.
        for group in {(change.before.device, change.before.peer_group) for change in changes if change.before}:
            if group[1] is not None and group not in self.machine.members:
                for known in list(self.machine.slaves.get((group[0], group[1]), ())):
                    done.changes.extend(self.resolver.look_again(known) if self.by_ids else ())
        if isinstance(self._sources[0], PollSource):
            self._sources[0].forget(key)
        self._tables.forget(key)
        done.gone.append(key)
        done.events.append(described)
        if told:
            healed = replace(telling.event("healed", namespace.name), count=len(told), text="the namespace is gone")
            done.events.append(healed)

    def _without_ended(self, acts: list[Act], done: Round) -> list[Act]:
        """Of a namespace that ends all mounts are detached: that is one event, and no act on mounts."""
        changed = {change.namespace for act in acts for change in act.changes if change.kind == "umount"}
        ended = {key for key in changed & self.machine.namespaces.keys() if not self.reader.numbers(key)}
        for key in ended:
            counted = sum(change.namespace == key for act in acts for change in act.changes)
            counted += len(self.machine.namespaces[key].mounts)
            who = next((act.first.who for act in acts if act.first.namespace == key), None)
            self._tell_gone(key, done, who)
            done.events[-1 if done.events[-1].kind == "namespace-gone" else -2] = replace(
                next(event for event in reversed(done.events) if event.kind == "namespace-gone"), count=counted
            )
        return [act for act in acts if not all(change.namespace in ended for change in act.changes)] if ended else acts

    # Tables

    def _sweep(
        self, told: Round, namespaces: Iterable[int], *, whole: bool, callers: Mapping[int, Who] | None = None
    ) -> None:
        """Read the tables of these namespaces, and tell what no source has told; by whom, where that is known."""
        texts = self._tables.read(namespaces)
        # What has changed while they were read is newer than they are.
        if self.by_ids and not whole:
            meanwhile = self._collected()
            self._touched.clear()
            if meanwhile.mounts:
                self._follow(meanwhile, told)
            self._early = merged([self._early, replace(meanwhile, mounts=())])
            texts = {key: text for key, text in texts.items() if key not in self._touched}
        found: list[Change] = []
        for key, text in texts.items():
            if key in self.machine.namespaces:
                found += self._tables.compare(key, text, (callers or {}).get(key), whole=whole)
        if found or self.resolver.quiet:
            self._tell(table_acts(found), told)

    def _look_at_calls(self, done: Round) -> None:
        """Somebody has made calls that no event tells of: his namespace is read again, and what shares with it."""
        begun = time.thread_time()
        callers = self._calls.taken()
        self._sweep(done, callers, whole=not self.by_ids, callers=callers)
        self._calls.took(time.thread_time() - begun, time.monotonic())

    # Leaks

    def _tell_leaks(self, done: Round) -> None:
        now = time.monotonic()
        for namespace, keys in self.leaks.appeared(now):
            if namespace in self.machine.namespaces:
                crossing = {key: self._landings(Known(namespace, key)) for key in keys}
                done.events.append(telling.of_leaks(self.machine, namespace, keys, crossing))
        for namespace, keys in self.leaks.healed():
            if namespace in self.machine.namespaces:
                done.events.append(telling.of_healed(self.machine, namespace, keys))

    def _landings(self, known: Known) -> list[str]:
        mount = self.machine.mount(known)
        if mount is None:
            return []
        landed = (self.machine.mount(other) for other in self.leaks.crosses(mount))
        return sorted({other.mount_point for other in landed if other is not None})

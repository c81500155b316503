"""How the objects show themselves in notebooks: what is told, how much of it, and that nothing in it is obeyed."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

import mntscope
from mntscope.analysis import holders as holding
from mntscope.analysis import namespaces as census
from mntscope.analysis.listing import listing
from mntscope.analysis.predict import predict_commands
from mntscope.base.display import Records, Shown
from mntscope.graph import PeerGraph
from mntscope.isolate import make_plan
from mntscope.jupyter.display import kinds, mimebundle
from mntscope.model import View
from mntscope.output.escape import visible
from mntscope.output.graph import whole
from mntscope.rules import audit
from mntscope.snapshot import Snapshot
from tests.support import strategies
from tests.support.sharing_worlds import HOSTILE, hostile_world, large_world

TAGS = {
    "a", "code", "details", "div", "li", "ol", "p", "path", "pre", "rect", "g", "span", "strong", "style", "summary",
    "svg", "table", "tbody", "td", "text", "th", "thead", "title", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {
    "class", "open", "scope", "href", "xmlns", "role", "aria-label", "width", "height", "viewbox", "d", "x", "y", "rx",
}  # fmt: skip


def table(first: int, tag: str) -> bytes:
    """Three mounts, in groups 1 to 3, or slaves of them."""
    places = ((0, "/", "tmpfs"), (first, "/var", "tmpfs"), (first, "/proc", "proc"))
    return "".join(
        f"{first + n} {parent} 0:{n + 1} / {path} rw,relatime {tag}:{n + 1} - {fs_type} none rw\n"
        for n, (parent, path, fs_type) in enumerate(places)
    ).encode()


def leaking() -> Snapshot:
    """A tool that is a peer of the host, and a unit that receives from it."""
    tables = {"host": table(1, "shared"), "tool": table(11, "shared"), "unit": table(21, "master")}
    return Snapshot.from_mountinfo(tables)


def everything(snapshot: Snapshot) -> dict[str, Any]:
    """One of every kind of object that *snapshot* leads to."""
    other = snapshot.views[1].label
    difference = mntscope.diff(snapshot, other)
    audited = audit(snapshot)
    outcome = mntscope.predict(snapshot, other, "mount -t tmpfs none /var")
    found: dict[str, Any] = {
        "mount": snapshot.host.mounts[0],
        "view": snapshot.view(other),
        "snapshot": snapshot,
        "mounts": snapshot.mounts,
        "namespaces": snapshot.namespaces,
        "namespace": snapshot.namespaces[0],
        "census": census.namespaces(snapshot),
        "groups": snapshot.peer_groups,
        "graph": PeerGraph.of(snapshot.views),
        "sharing": whole(snapshot),
        "tree": listing(snapshot, other),
        "diff": difference,
        "leaks": difference.leaks,
        "changes": difference.changes,
        "captures": mntscope.compare(snapshot, outcome.snapshot),
        "outcome": outcome,
        "effects": outcome.effects,
        "prediction": predict_commands(snapshot, other, "umount /var && mount -t tmpfs none /var"),
        "audit": audited,
        "findings": audited.findings,
        "holding": holding.holders(snapshot, snapshot.host.mounts[0].device),
    }
    several = {"group": "groups", "leak": "leaks", "change": "changes", "effect": "effects", "finding": "findings"}
    return found | {one: found[many][0] for one, many in several.items() if found[many]}


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    objects = everything(leaking())
    return objects | {"plan": make_plan(leaking(), "tool")}


def bundles(objects: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    for name, thing in objects.items():
        yield name, thing._repr_mimebundle_()


class Markup(HTMLParser):
    """What a browser would see of an output: tags, attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.style = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text += data


def test_every_object_shows_itself_as_text_markdown_and_html(shown: dict[str, Any]) -> None:
    for name, bundle in bundles(shown):
        assert {"text/plain", "text/markdown", "text/html"} <= bundle.keys(), name
        assert all(text.strip() for text in bundle.values()), name


def test_everything_that_shows_itself_is_known_to_the_notebook() -> None:
    for module in pkgutil.walk_packages(mntscope.__path__, "mntscope."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    # By name: a dataclass with slots is made twice.
    public = [kind for kind in Shown.__subclasses__() if not kind.__name__.startswith("_")]
    assert {str(kind) for kind in public} <= {str(kind) for kind in kinds()}


def test_a_peer_graph_is_a_picture_too(shown: dict[str, Any]) -> None:
    for name in ("graph", "sharing"):
        assert shown[name]._repr_mimebundle_()["image/svg+xml"].startswith("<svg ")
        assert "<svg " in shown[name]._repr_mimebundle_()["text/html"]


def test_only_what_is_asked_for_is_made(shown: dict[str, Any]) -> None:
    graph = shown["graph"]
    assert graph._repr_mimebundle_(include={"text/plain"}).keys() == {"text/plain"}
    assert graph._repr_mimebundle_(exclude={"text/plain", "image/svg+xml"}).keys() == {"text/markdown", "text/html"}


def test_what_does_not_show_itself_says_so() -> None:
    with pytest.raises(TypeError, match="int does not show itself in notebooks"):
        mimebundle(1)


def test_the_verdict_stands_first(shown: dict[str, Any]) -> None:
    html = shown["diff"]._repr_mimebundle_()["text/html"]
    text = Markup(html).text.split("\n")
    lines = [line for line in text if line.strip()]
    assert lines[0] == "Mounts of tool compared with the host"
    assert lines[1] == "LEAKS: all 3 mounts in tool propagate to the host."
    assert '<span class="critical">LEAKS</span>' in html
    assert (
        shown["diff"]
        ._repr_mimebundle_()["text/plain"]
        .startswith("Mounts of tool compared with the host\nLEAKS  all 3 mounts in tool propagate")
    )


def test_a_snapshot_says_who_leaks(shown: dict[str, Any]) -> None:
    text = shown["snapshot"]._repr_mimebundle_()["text/plain"]
    assert "3 mount namespaces: the host's, 1 leaks to it, 1 receives from it." in text
    assert re.search(r"^tool .* leaks +critical / and 2 more$", text, re.MULTILINE)


def test_a_mount_explains_its_propagation() -> None:
    text = leaking().view("unit").mounts[0]._repr_mimebundle_()["text/plain"]
    assert "what its master group mounts arrives here, and nothing goes back" in text


def test_a_prediction_says_where_it_lands(shown: dict[str, Any]) -> None:
    text = Markup(shown["prediction"]._repr_mimebundle_()["text/html"]).text
    assert "CHANGES THE HOST" in text
    assert "On the host\n\n/var (tmpfs) would be unmounted" in text


def test_a_failure_is_told_of() -> None:
    outcome = mntscope.predict(leaking(), "tool", "umount /nowhere")
    assert "FAILS WITH EINVAL  nothing changes." in outcome._repr_mimebundle_()["text/plain"]


def test_several_of_nothing_are_none() -> None:
    assert Records((), View)._repr_mimebundle_()["text/plain"] == "0 records"
    assert leaking().views[0]._repr_mimebundle_()["text/plain"].startswith("Mounts of the host\n3 mounts: 3 shared.")


# What an output may do to the notebook it is in


def test_an_output_has_no_script_no_heading_and_no_style_but_its_own(shown: dict[str, Any]) -> None:
    for name, bundle in bundles(shown):
        markup = Markup(bundle["text/html"])
        assert set(markup.tags) <= TAGS, name
        assert {attribute for attribute, _ in markup.attributes} <= ATTRIBUTES, name
        assert not re.search(r"^#", bundle["text/markdown"], re.MULTILINE), name
        rules = re.sub(r"@media [^{]*\{(.*?\})\s*\}", r"\1", markup.style, flags=re.DOTALL)
        for selectors in re.findall(r"([^{}]+)\{[^}]*\}", rules):
            assert all(".mntscope" in selector for selector in re.split(r",(?![^(]*\))", selectors)), selectors


def test_hostile_names_are_only_read() -> None:
    objects = everything(hostile_world())
    for name, bundle in bundles(objects):
        markup = Markup(bundle["text/html"])
        assert set(markup.tags) <= TAGS, name
        assert {attribute for attribute, _ in markup.attributes} <= ATTRIBUTES, name
        for kind in ("text/plain", "text/markdown"):
            lines = bundle[kind].replace("\u2060", "").split("\n")
            assert all(visible(line.rstrip(" ")) == line.rstrip(" ") for line in lines), (name, kind)
        assert all(len(text) < 200_000 for text in bundle.values()), name
    assert visible(HOSTILE[0]) in Markup(objects["view"]._repr_mimebundle_()["text/html"]).text


@given(strategies.views())
@settings(max_examples=25)
def test_whatever_a_kernel_may_print_can_be_shown(views: tuple[View, ...]) -> None:
    for _, bundle in bundles(everything(Snapshot(views, views[0].label))):
        Markup(bundle["text/html"])
        assert bundle["text/plain"].encode()


# Large objects


def test_large_objects_are_shortened_and_say_so() -> None:
    objects = everything(large_world(500))
    for name in ("snapshot", "mounts", "namespaces", "view", "census", "graph", "groups", "prediction", "audit"):
        bundle = objects[name]._repr_mimebundle_()
        assert len(bundle["text/html"]) < 100_000, name
        assert len(bundle["text/markdown"]) < 20_000, name
        assert re.search(r"and [\d,]+ more", bundle["text/html"]), name
    assert "and 488 more: .namespaces.frame() has all of them" in objects["snapshot"]._repr_mimebundle_()["text/plain"]


def test_what_is_very_large_is_shown_quickly() -> None:
    world = leaking()
    mount = world.host.mounts[0]
    many = tuple(replace(mount, mount_id=1000 + n, parent_id=1, mount_point=f"/m/{n}") for n in range(100_000))
    snapshot = world.with_views([replace(world.host, mounts=world.host.mounts + many), *world.views[1:]])
    began = time.thread_time()
    for thing in (snapshot, snapshot.host):
        bundle = thing._repr_mimebundle_()
        assert "100003" in bundle["text/plain"]
        assert len(bundle["text/html"]) < 20_000
    assert "what leaks is left out here" in snapshot._repr_mimebundle_()["text/plain"]
    assert time.thread_time() - began < 20, "so long that it is not merely this machine"


def test_showing_needs_no_pandas(tmp_path: Path) -> None:
    program = (
        "import sys, mntscope\n"
        "snapshot = mntscope.Snapshot.from_mountinfo({'host': b'1 0 0:1 / / rw - tmpfs none rw\\n'})\n"
        "assert not any(name.startswith('mntscope.jupyter.display') for name in sys.modules)\n"
        "print(snapshot._repr_mimebundle_()['text/plain'])\n"
        "assert 'pandas' not in sys.modules and 'IPython' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Snapshot of 1 view, 1 mount\n1 mount namespace: the host's.")

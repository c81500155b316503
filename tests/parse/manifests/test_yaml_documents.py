"""YAML, as good as it gets and as bad."""

from __future__ import annotations

import pytest
import yaml

from mntscope.parse.manifests import yaml_documents
from mntscope.parse.manifests.nodes import Node, Scalar
from mntscope.parse.manifests.reading import Reading
from mntscope.parse.manifests.yaml_documents import DEEPEST, MOST_DOCUMENTS, documents


@pytest.fixture(params=["libyaml", "Python alone"], autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both that PyYAML has; the second is all there is where it was built without libyaml."""
    if request.param == "Python alone":
        monkeypatch.delattr(yaml, "CSafeLoader")
    else:
        assert hasattr(yaml, "CSafeLoader")


def plain(node: Node) -> object:
    """The values alone."""
    if isinstance(node.value, tuple):
        return [plain(each) for each in node.value]
    if isinstance(node.value, dict):
        return {key: plain(each) for key, each in node.value.items()}
    return node.value


def read(data: bytes | str) -> tuple[list[object], list[str]]:
    """The documents, and what is said, each with its place."""
    reading = Reading("f")
    found = [plain(each) for each in documents(data if isinstance(data, bytes) else data.encode(), reading)]
    return found, [f"{remark.where.line}:{remark.where.column} {remark.what}" for remark in reading.remarks]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True), ("No", False), ("on", True), ("~", None), ("null", None), ("y", "y"),
        ("12", 12), ("-1", -1), ("0x1f", 31), ("0o17", 15), ("0755", 493), ("1_000", 1000), ("09", 9.0), ("1.5", 1.5),
        ("1e3", 1000.0),
        ("22:22", "22:22"), ("2026-01-01", "2026-01-01"), ("'12'", "12"), ('"true"', "true"), ("!!str 12", "12"),
        ("!Ref x", "x"), ("!reset x", None), ("9" * 30, "9" * 30), ("9" * 100_000, "9" * 100_000), (".inf", ".inf"),
    ],
)  # fmt: skip
def test_a_scalar_is_what_it_is_to_who_runs_manifests(written: str, value: Scalar) -> None:
    ((document,), remarks) = read(f"a: {written}\n")
    assert (document, remarks) == ({"a": value}, [])


def test_keys_are_strings() -> None:
    assert read("1: a\ntrue: b\n~: c\n") == ([{"1": "a", "true": "b", "~": "c"}], [])


def test_every_value_knows_its_place() -> None:
    (node,) = documents(b"---\na:\n  - b: 'c'\n", Reading("f"))
    found = node.get("a")
    assert found is not None
    (item,) = found.items()
    value = item.get("b")
    assert value is not None
    places = (node.where, found.where, found.key_where, item.where, value.where, value.key_where)
    assert [str(place) for place in places] == [
        "f:2:1", "f:3:3", "f:2:1", "f:3:5", "f:3:8", "f:3:5",
    ]  # fmt: skip


def test_aliases_and_merged_keys() -> None:
    text = "a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\nd: {<<: [{z: 1}, *a], '<<': 4}\n"
    a = {"x": 1, "y": 2}
    assert read(text) == ([{"a": a, "b": a, "c": {"y": 3, "x": 1}, "d": {"<<": 4, "z": 1, "x": 1, "y": 2}}], [])


def test_documents_one_after_the_other() -> None:
    assert read("# none\n---\n---\na: 1\n...\n%YAML 1.2\n---\nb: |\n  x\n  --- y\n--- c") == (
        [{"a": 1}, {"b": "x\n--- y\n"}, "c"],
        [],
    )


@pytest.mark.parametrize(
    ("written", "remark"),
    [
        (b"\xff", "3:1 no UTF-8: the byte 0xff"),
        (b"a: \xc3\xa4\xc3", "3:5 no UTF-8: the byte 0xc3"),
        (b"a: b\0", "3:5 YAML cannot hold '\\x00' as it is; write it as an escape in double quotes"),
        (b"a: \x1b[2J", "3:4 YAML cannot hold '\\x1b' as it is; write it as an escape in double quotes"),
        (b"a: &a [*a]", "3:8 *a is inside of what it stands for"),
        (b"a: &a\n  <<: *a", "4:7 *a is inside of what it stands for"),
        (b"a: *b", "3:4 *b stands for nothing: there is no &b before it"),
        (b"[a]: b", "3:1 a list or mapping as a key, which no manifest has"),
        (b"a: 1\na: 2", "4:1 'a' is there a second time (the first is in line 3)"),
        (b"a: {<<: 1}", "3:9 << takes a mapping, or a list of them"),
        (b"{a: " * (DEEPEST + 1), f"3:{4 * DEEPEST + 1} more than 100 lists and mappings in one another"),
    ],
)
def test_what_is_wrong_hides_nothing_beside_it(written: bytes, remark: str) -> None:
    found, remarks = read(b"before: 1\n---\n" + written + b"\n---\nafter: 1\n")
    assert (found[0], found[-1]) == ({"before": 1}, {"after": 1})
    assert remarks == [remark]


@pytest.mark.parametrize(
    "written", ["[", "a: b: c", "'", '"\\q"', "a\n\tb: c", "@", "%x\n", "&", "!", "- a\nb", "? a\n[", '"\\ud800"']
)
def test_what_is_no_yaml_is_one_line(written: str) -> None:
    found, remarks = read(f"a: 1\n---\n{written}\n---\nb: 1\n")
    assert ({"a": 1} in found, {"b": 1} in found) == (True, True)
    assert len(remarks) <= 1
    assert all("\n" not in remark for remark in remarks)


@pytest.mark.parametrize(
    "written", ["{{- if .Values.a }}\na: b\n{{- end }}", "a: {{ .Values.a }}", "a: b\n{% if x %}\n"]
)
def test_a_template_is_to_be_rendered_first(written: str) -> None:
    _, (remark,) = read(written)
    assert "a template ({" in remark
    assert remark.endswith("render it first, as with helm template CHART | mntscope preview -")


@pytest.mark.parametrize("begin", ["[x]", "{x: 1}"])
def test_aliases_of_aliases_are_counted(begin: str) -> None:
    lines = [f"a0: &a0 {begin}"]
    for at in range(1, 60):
        again = ",".join([f"*a{at - 1}"] * 9)
        lines.append(f"a{at}: &a{at} [{again}]" if begin == "[x]" else f"a{at}: &a{at}\n  k{at}: 1\n  <<: [{again}]")
    found, (remark,) = read("\n".join(lines))
    assert found == []
    assert "more than 524288 values in one document, those that aliases repeat included" in remark


def test_aliases_in_one_another_are_counted() -> None:
    lines = ["a0: &a0 [x]", *(f"a{at}: &a{at} [*a{at - 1}]" for at in range(1, DEEPEST + 1))]
    found, (remark,) = read("\n".join(lines))
    assert found == []
    assert "more than 100 lists and mappings in one another" in remark


def test_no_more_documents_than_anyone_has() -> None:
    found, (remark,) = read("---\na: 1\n" * (MOST_DOCUMENTS + 5))
    assert len(found) == MOST_DOCUMENTS
    assert "more than 16384 documents" in remark


def test_values_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_documents, "MOST_VALUES", 10)
    assert read("[1, 2, 3, 4, 5, 6, 7, 8, 9]") == ([[1, 2, 3, 4, 5, 6, 7, 8, 9]], [])
    found, (remark,) = read("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]")
    assert (found, remark[:4]) == ([], "1:29")

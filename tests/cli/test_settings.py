"""``mntscope.toml``: what a site has decided, and what is no decision."""

from __future__ import annotations

import json
import os
import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mntscope.cli.settings import MOST, Settings, find, with_baseline
from mntscope.errors import AccessError, MntscopeError, RefusedError, UsageError
from mntscope.output.audit import FORMATS
from mntscope.output.writers.page import Page
from mntscope.rules import RULES, Policy, Waiver
from tests.support.audits import SOME, found, made_up, report
from tests.support.repository import ROOT

DOCUMENTED = ROOT / "docs/audit.md"


def read(path: Path, text: str, name: str = "mntscope.toml") -> Settings:
    file = path / name
    file.write_text(text, "utf-8")
    return find(str(file), RULES)


def test_the_documented_settings_mean_what_they_say(tmp_path: Path) -> None:
    (text, *_) = re.findall(r"```toml\n(fail-on.*?)```", DOCUMENTED.read_text("utf-8"), re.DOTALL)
    assert read(tmp_path, text) == Settings(
        policy=Policy(
            waivers=(
                Waiver(
                    rule="MNT006",
                    reason="mounts volumes for pods",
                    subject="docker csi-*",
                    path="/var/lib/kubelet/*",
                    expires=date(2027, 1, 31),
                ),
            ),
            severities={"MNT016": "low"},
            roles=(("docker build-*", "runtime"),),
        ),
        fail_on="high",
        file=str(tmp_path / "mntscope.toml"),
    )


def test_nothing_said_changes_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "").policy == Policy()
    assert read(tmp_path, "").fail_on == "medium"
    assert read(tmp_path, 'fail-on = "never"').fail_on is None


def test_a_rule_may_be_called_by_its_name(tmp_path: Path) -> None:
    assert read(tmp_path, '[severity]\nleak-to-host = "low"').policy.severities == {"MNT001": "low"}


def test_settings_are_looked_for_where_one_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find(None, RULES).file in (None, "/etc/mntscope.toml")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n', "utf-8")
    assert find(None, RULES).file in (None, "/etc/mntscope.toml")
    (tmp_path / "pyproject.toml").write_text('[tool.mntscope]\nfail-on = "low"\n', "utf-8")
    assert find(None, RULES) == Settings(fail_on="low", file="pyproject.toml")
    (tmp_path / "mntscope.toml").write_text('fail-on = "critical"\n', "utf-8")
    assert find(None, RULES) == Settings(fail_on="critical", file="mntscope.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fail_on = 'low'", "no setting 'fail_on'; did you mean fail-on?"),
        ("fail-on = 'awful'", "fail-on must be one of critical, high, medium, low, never"),
        ("fail-on = 3", "fail-on must be one of"),
        ("severity = 'low'", "severity must be a table"),
        ("[severity]\nMNT999 = 'low'", "there is no rule 'MNT999'"),
        ("[severity]\nMNT001 = 'x'", "severity.MNT001 must be one of"),
        ("[waiver]\nrule = '*'", "waiver must be tables: [[waiver]]"),
        ("[[waiver]]\nrule = '*'", "waiver 1.reason must be a text"),
        ("[[waiver]]\nrule = '*'\nreason = ' '", "waiver 1.reason must be why it is accepted"),
        ("[[waiver]]\nrule = '*'\nreason = 'x'\nexpires = '2027'", "waiver 1.expires must be a date"),
        ("[[waiver]]\nrule = '*'\nreason = 'x'\nexpires = 2027-01-01T00:00:00", "waiver 1.expires must be a date"),
        ("[[waiver]]\nreason = 'x'", "waiver 1.rule must be a text"),
        ("[[waiver]]\nrule = '*'\nreasn = 'x'", "no setting 'waiver 1.reasn'; did you mean reason?"),
        ("[[role]]\nsubject = 'x'\nrole = 'king'", "role 1.role must be one of host, runtime"),
        ("waiver = [1]", "waiver 1 must be a table"),
        ("[[", "it is no TOML"),
        ("x = " + "[" * 5000, "it is no TOML"),
    ],
)
def test_what_is_no_setting_is_told_where_it_stands(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(said)) as raised:
        read(tmp_path, text)
    assert str(tmp_path / "mntscope.toml") in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_or_too_long(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="cannot read"):
        find(str(tmp_path / "no.toml"), RULES)
    with pytest.raises(UsageError, match="no longer than"):
        read(tmp_path, "#" * (MOST + 1))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["schema", "findings", "known", "fingerprint"]), inner)
        ),
    )
)
def test_what_is_no_audit_is_no_baseline(tmp_path_factory: pytest.TempPathFactory, document: object) -> None:
    file = tmp_path_factory.mktemp("baseline") / "known.json"
    file.write_text(json.dumps(document), "utf-8")
    with pytest.raises(MntscopeError, match="it is no audit in JSON"):
        with_baseline(Settings(), str(file))


def test_a_baseline_knows_what_was_found_and_what_was_known(tmp_path: Path) -> None:
    before = report(rules=[made_up(found("one")), *SOME])
    file = tmp_path / "known.json"
    file.write_text(FORMATS["json"](before, Page()), "utf-8")
    settings = with_baseline(Settings(), str(file))
    after = report(rules=[made_up(found("one"), found("two")), *SOME], policy=settings.policy)
    assert [finding.message for finding in after.findings] == ["two"]
    file.write_text(FORMATS["json"](after, Page()), "utf-8")
    settings = with_baseline(Settings(), str(file))
    assert not report(rules=[made_up(found("one"), found("two")), *SOME], policy=settings.policy).findings


WAIVER = '[[waiver]]\nrule = "*"\nreason = "x"\n'


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be several users")
@pytest.mark.parametrize("name", ["mntscope.toml", "pyproject.toml"])
@pytest.mark.parametrize(
    ("directory", "file", "why"),
    [
        ((12345, 0o755), (12345, 0o644), "it is user 12345's"),
        ((0, 0o755), (12345, 0o644), "it is user 12345's"),
        ((0, 0o755), (0, 0o666), "others may write to it"),
        ((0, 0o755), (0, 0o664), "others may write to it"),
        ((0, 0o777), (0, 0o644), "others may write to its directory"),
        ((0, 0o775), (0, 0o644), "others may write to its directory"),
        ((12345, 0o755), (0, 0o644), "others may write to its directory"),
        ((0, 0o1777), (0, 0o644), ""),
        ((0, 0o755), (0, 0o644), ""),
    ],
)
def test_root_obeys_what_is_found_only_if_nobody_else_has_a_say_in_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    directory: tuple[int, int],
    file: tuple[int, int],
    why: str,
) -> None:
    text = WAIVER if name == "mntscope.toml" else '[tool.mntscope]\nfail-on = "low"\n'
    (tmp_path / name).write_text(text)
    for path, (uid, mode) in ((tmp_path / name, file), (tmp_path, directory)):
        os.chown(path, uid, 0)
        path.chmod(mode)
    monkeypatch.chdir(tmp_path)
    if not why:
        assert find(None, RULES).file == name
    else:
        with pytest.raises(RefusedError, match=f"{name}: it is not obeyed: {why}; name it with --settings FILE"):
            find(None, RULES)
    # What is named is the caller's word.
    assert find(name, RULES).file == name


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be several users")
def test_what_is_found_is_no_link_or_pipe_of_anothers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(0o1777)
    monkeypatch.chdir(place)
    (tmp_path / "own.toml").write_text(WAIVER)
    (place / "mntscope.toml").symlink_to("../own.toml")
    with pytest.raises(RefusedError, match="it is a link"):
        find(None, RULES)
    (place / "mntscope.toml").unlink()
    # A second name of a file of root's.
    os.link(tmp_path / "own.toml", place / "mntscope.toml")
    with pytest.raises(RefusedError, match="others may write to its directory"):
        find(None, RULES)
    (place / "mntscope.toml").unlink()
    os.mkfifo(place / "mntscope.toml")
    assert find(None, RULES).file in (None, "/etc/mntscope.toml")


def test_a_strangers_pyproject_that_does_not_speak_of_mntscope_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    (tmp_path / "pyproject.toml").chmod(0o666)
    monkeypatch.chdir(tmp_path)
    assert find(None, RULES).file in (None, "/etc/mntscope.toml")

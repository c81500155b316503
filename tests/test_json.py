"""The JSON of every command about every fixture and capture is what it was, and what is promised of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.support.recorded_json import RECORDED, RULES, SNAPSHOTS, answers, in_process, recorded
from tests.support.schemas import SCHEMAS

VALIDATORS = {command: Draft202012Validator(schema) for command, schema in SCHEMAS.items()}


def differences(before: Any, now: Any, where: str = "$") -> list[str]:
    """Where two documents differ, as paths into them, with what stands there."""
    if isinstance(before, dict) and isinstance(now, dict):
        gone = [f"{where}.{key} is gone" for key in before if key not in now]
        new = [f"{where}.{key} is new" for key in now if key not in before]
        return sum((differences(before[key], now[key], f"{where}.{key}") for key in before if key in now), gone + new)
    if isinstance(before, list) and isinstance(now, list):
        length = [f"{where} has {len(now)} elements, not {len(before)}"] if len(before) != len(now) else []
        pairs = enumerate(zip(before, now, strict=False))
        return sum((differences(old, new, f"{where}[{index}]") for index, (old, new) in pairs), length)
    return [f"{where} is {json.dumps(now)}, not {json.dumps(before)}"] if before != now else []


def test_each_recording_is_tested() -> None:
    assert {file.name.partition(".")[0] for file in RECORDED.glob("*.jsonl.xz")} == {RULES, *SNAPSHOTS}


@pytest.mark.parametrize("name", [RULES, *SNAPSHOTS])
def test_it_is_what_it_was_and_what_is_promised(name: str) -> None:
    for before, now in zip(recorded(name), answers(name, in_process), strict=True):
        command = f"mntscope {' '.join(now.words)} --format json"
        assert now.words == before.words
        assert now.exit_code == before.exit_code, command
        found = json.loads(now.output)
        if now.output != before.output:
            changed = differences(json.loads(before.output), found) or ["only the spelling, or the order of the fields"]
            pytest.fail("\n  ".join([command, *changed[:20]]), pytrace=False)
        for error in VALIDATORS[now.words[0]].iter_errors(found):
            pytest.fail(f"{command}\n  {error.json_path}: {error.message}", pytrace=False)


def test_a_difference_is_named_by_its_place() -> None:
    before = {"leaks": [{"path": "/proc", "via": "peer"}], "old": 1}
    now = {"leaks": [{"path": "/sys", "via": "peer"}, {}], "new": 1}
    assert differences(before, now) == [
        "$.old is gone",
        "$.new is new",
        "$.leaks has 2 elements, not 1",
        '$.leaks[0].path is "/sys", not "/proc"',
    ]


@pytest.mark.parametrize("command", SCHEMAS)
def test_a_document_without_a_field_is_not_what_is_promised(command: str) -> None:
    found = next(answer for name in ("sandbox", RULES) for answer in recorded(name) if answer.words[0] == command)
    whole = json.loads(found.output)
    for field in SCHEMAS[command]["required"]:
        assert not VALIDATORS[command].is_valid({key: value for key, value in whole.items() if key != field})

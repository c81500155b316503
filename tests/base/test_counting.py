"""How many of what."""

from __future__ import annotations

from mntscope.base.counting import agreeing, counted, plural


def test_one_thing_is_singular_and_any_other_number_is_plural() -> None:
    assert [counted(number, "mount") for number in (0, 1, 2)] == ["0 mounts", "1 mount", "2 mounts"]


def test_the_last_word_takes_the_plural() -> None:
    assert counted(1, "more mount namespace") == "1 more mount namespace"
    assert counted(2, "more mount namespace") == "2 more mount namespaces"


def test_nouns_take_the_plural_that_they_have() -> None:
    assert [plural(noun) for noun in ("process", "box", "copy", "key", "path")] == [
        "processes",
        "boxes",
        "copies",
        "keys",
        "paths",
    ]


def test_verbs_follow_the_number() -> None:
    assert [agreeing(number, "is", "are") + " hidden" for number in (1, 3)] == ["1 is hidden", "3 are hidden"]

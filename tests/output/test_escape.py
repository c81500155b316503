"""Untrusted text is shown, never obeyed."""

import os
import shlex
import shutil
import subprocess
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mntscope.output.escape import shell_word, visible

# Text as mountinfo yields it: any bytes at all, decoded the way paths are.
untrusted = st.binary().map(os.fsdecode) | st.text()


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("/mnt/a b", "/mnt/a b"),
        ("/mnt/\x1b[2J", r"/mnt/\x1b[2J"),
        ("/mnt/line\nbreak\rtab\t", r"/mnt/line\x0abreak\x0dtab\x09"),
        ("/mnt/\x9b31m", r"/mnt/\x9b31m"),
        ("/mnt/\u202egnp.exe", r"/mnt/\u202egnp.exe"),
        ("/mnt/\u2066\u2069", r"/mnt/\u2066\u2069"),
        ("/mnt/zero\u200bwidth\ufeff", r"/mnt/zero\u200bwidth\ufeff"),
        ("/mnt/\u2028\u2029", r"/mnt/\u2028\u2029"),
        ("/mnt/no\u00a0break", r"/mnt/no\xa0break"),
        ("/mnt/space  ", r"/mnt/space \x20"),
        ("/mnt/filler\u3164", r"/mnt/filler\u3164"),
        ("/mnt/\U000e0041", r"/mnt/\U000e0041"),
        (os.fsdecode(b"/mnt/\xff"), r"/mnt/\xff"),
        ("/mnt/\ud800", r"/mnt/\ud800"),
    ],
)
def test_what_a_terminal_would_obey_or_hide_is_escaped(raw: str, shown: str) -> None:
    assert visible(raw) == shown


@pytest.mark.parametrize(
    "text", ["/srv/größe", "/データ/一", "/داده", "/данные", "/❤️/🦀", "/c:\\users", "/\u0915\u094d\u0937"]
)
def test_ordinary_unicode_is_left_alone(text: str) -> None:
    assert visible(text) == text


@given(untrusted)
def test_nothing_that_could_move_a_terminal_gets_through(text: str) -> None:
    shown = visible(text)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    shown.encode()
    assert visible(shown) == shown


@given(untrusted)
def test_a_shell_word_is_visible(text: str) -> None:
    word = shell_word(text)
    assert visible(word) == word


@given(st.text(st.characters(categories=("L", "N", "P", "S"), exclude_characters="\u115f\u1160\u3164\uffa0")))
def test_a_printable_shell_word_is_read_back_by_a_shell(text: str) -> None:
    assert shlex.split(shell_word(text)) == [text]


@pytest.mark.skipif(shutil.which("bash") is None, reason="$'..' is bash's, and there is no bash")
@pytest.mark.parametrize(
    "path",
    [
        b"/a'b",
        b"/a\nb",
        b"/\x1b[31m'\\ $x`y`!",
        b"/\xff\xfe7",
        "/\u202ea".encode(),
        bytes(range(1, 256)),
    ],
)
def test_bash_reads_a_shell_word_as_the_same_bytes(path: bytes) -> None:
    command = f"printf %s {shell_word(os.fsdecode(path))}"
    assert subprocess.run(["bash", "-c", command], check=True, stdout=subprocess.PIPE).stdout == path

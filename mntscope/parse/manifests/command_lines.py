"""``docker run`` and ``podman run``, as they are typed, or as they stand in a script.

A line that runs something else is left out, and so nothing of a script is carried out. Of a shell's language quotes,
backslashes, comments, ``;`` and ``&&`` are known. Variables are kept as they are written, and told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mntscope.base.records import replace
from mntscope.errors import MntscopeError, ParseError
from mntscope.parse.manifests.containers import ContainerSpec, Where
from mntscope.parse.manifests.reading import Reading
from mntscope.parse.manifests.run_facts import RunFacts
from mntscope.parse.manifests.run_options import GLOBAL_VALUED, read_options
from mntscope.parse.manifests.volumes import Given
from mntscope.parse.shell import LONGEST, Text, commands

_RUNS = re.compile(r"\b(?:docker|podman)\b(?:\\\r?\n|[^\n|;&]){0,1000}?\b(?:run|create)\b")
_BEGINS = re.compile(
    r"(?:\$ )?(?:(?:sudo|exec|env|time|command|\w+=\S*|-\w+) )*\S*\b(?:docker|podman) .*\b(?:run|create)\b"
)
_COMMENTS = re.compile(r"(?:[ \t\r]*(?:#[^\n]*)?\n)*+")

# What a shell would expand, outside of single quotes.
_EXPANDED = re.compile(r"'[^']*'|\\.|\$\{[^}\n]*\}|\$\([^()\n]*\)|`[^`\n]*`|\$\w+", re.DOTALL)
_HERE = ("$PWD", "${PWD}", "$(pwd)", "`pwd`")
_FIRST_MARK = 0xF0000
"""Characters of a plane for private use stand for what would be expanded, until the words are known."""


def is_command_line(text: str) -> bool:
    """Whether *text* is one, or a script with some in it: by its first line that does something."""
    if text.startswith("#!"):
        return _RUNS.search(text[: 1 << 20]) is not None
    begin = _COMMENTS.match(text)
    first = text[begin.end() if begin else 0 :][:4096]
    return _BEGINS.match(" ".join(re.sub(r"\\\r?\n", " ", first).partition("\n")[0].split())) is not None


def read_command_lines(text: str, reading: Reading) -> Iterator[ContainerSpec]:
    """The containers that the commands of *text* would run, in order."""
    earlier: dict[str, ContainerSpec] = {}
    found = False
    for line, begin in _logical_lines(text, reading.name):
        if _RUNS.search(line) is None:
            continue
        found = True
        if len(line) > LONGEST:
            reading.error(f"a command of more than {LONGEST} bytes, which Linux does not take", begin)
            continue
        expansions: list[str] = []
        try:
            parsed = commands(_with_marks(Text.of(line), expansions))
        except ParseError as error:
            reading.error(f"{error.what}; {error.hint}" if error.hint else error.what, _moved(error, begin))
            continue
        except MntscopeError as error:
            reading.error(error.what, begin)
            continue
        for command in parsed:
            words = [_given(word, expansions, begin) for word in command.words]
            spec = _container(words, earlier, reading)
            if spec is not None:
                earlier[spec.name] = spec
                yield spec
    if not found:
        reading.error("no docker run or podman run", Where(reading.name, 1, 1))


def _logical_lines(text: str, name: str) -> Iterator[tuple[str, Where]]:
    """The lines of *text*, those that a backslash joins as one; ``$ `` of a prompt is no part of them."""
    number, done = 1, 0
    for match in re.finditer(r"(?:[^\\\n]|\\.|\\\Z)++", text, re.DOTALL):
        number += text.count("\n", done, match.start())
        done = match.start()
        line = re.sub(r"\A[ \t]*(?:\$ )?", "", match[0])
        yield line.rstrip("\r"), Where(name, number, len(match[0]) - len(line) + 1)


def _moved(error: ParseError, begin: Where) -> Where:
    """Where an error is, of a line that begins at *begin*; it counts bytes."""
    return Where(begin.file, begin.line + error.line - 1, error.column + (begin.column - 1 if error.line == 1 else 0))


def _with_marks(text: Text, expansions: list[str]) -> Text:
    """*text* with one character in place of each expansion."""
    chars: list[str] = []
    places: list[int] = []
    done = 0
    for match in _EXPANDED.finditer(text.chars):
        if match[0][0] in "'\\":
            continue
        chars += text.chars[done : match.start()]
        places += text.places[done : match.start()]
        here = match[0] in _HERE
        chars.append("." if here else chr(_FIRST_MARK + len(expansions)))
        if not here:
            expansions.append(match[0])
        places.append(text.places[match.start()])
        done = match.end()
    chars += text.chars[done:]
    places += text.places[done:]
    return Text("".join(chars), places, text.source, text.span)


def _unmarked(word: Text, expansions: Sequence[str]) -> Text:
    """The word with the expansions as they were written."""
    if all(ord(char) < _FIRST_MARK for char in word.chars):
        return word
    chars: list[str] = []
    places: list[int] = []
    for char, place in zip(word.chars, word.places, strict=False):
        mark = ord(char) - _FIRST_MARK
        written = expansions[mark] if 0 <= mark < len(expansions) else char
        # As one word, whatever is in it: what follows is split at commas and colons.
        written = "${" + re.sub(r"\W.*", "", written.strip("${(`")) + "}" if written != char else char
        chars += written
        places += [place] * len(written)
    return Text("".join(chars), [*places, word.places[-1]], word.source, word.span)


def _given(word: Text, expansions: Sequence[str], begin: Where) -> Given:
    """The word of a line that begins at *begin*."""
    text = _unmarked(word, expansions)

    def where(place: int) -> Where:
        before = text.source.count("\n", 0, place)
        column = place - (text.source.rfind("\n", 0, place) + 1)
        return Where(begin.file, begin.line + before, column + (1 if before else begin.column))

    return Given(text.chars, where(word.span[0]), lambda at: where(text.places[min(at, len(text.places) - 1)]))


def _container(words: Sequence[Given], earlier: dict[str, ContainerSpec], reading: Reading) -> ContainerSpec | None:
    """The container that a command runs; ``None`` if it runs none."""
    begin = _after_prefixes(words)
    program = words[begin].text.rpartition("/")[2] if begin < len(words) else ""
    if program not in ("docker", "podman"):
        return None
    at = _after_globals(words, begin + 1)
    if at >= len(words) or words[at].text not in ("run", "create"):
        return None
    where = words[begin].where
    if not reading.room_for_container(where):
        return None
    options, operands = read_options(words[at + 1 :], reading)
    if not operands:
        reading.error(f"{program} {words[at].text} of no image", words[at].where)
    image = operands[0].text if operands else "(without an image)"
    spec = RunFacts(options, reading, earlier).container("docker-run" if program == "docker" else "podman-run", where)
    if any(option.name == "rootfs" and option.is_true for option in options):
        # Behind the colon are podman's words for an overlay, and for a mapping of ids.
        image = re.sub(r":(?:O|idmap.*)\Z", "", image)
        spec = replace(spec, rootfs=image)
    return spec if spec.name else replace(spec, name=image)


def _after_prefixes(words: Sequence[Given]) -> int:
    """The number of the word that is the program, behind sudo and its like."""
    at = 0
    while at < len(words):
        word = words[at].text
        if word in ("sudo", "exec", "env", "time", "command", "nohup") or re.match(r"\w+=", word):
            at += 1
        elif at and word.startswith("-"):
            at += 2 if word in ("-u", "-g", "--user", "--group") else 1
        else:
            break
    return at


def _after_globals(words: Sequence[Given], at: int) -> int:
    """The number of the subcommand's word, from *at* on."""
    while at < len(words):
        word = words[at].text
        if word.startswith("-"):
            takes = word[2:] in GLOBAL_VALUED if word.startswith("--") else word in ("-c", "-H", "-l")
            at += 2 if takes else 1
        elif word == "container":
            at += 1
        else:
            break
    return at

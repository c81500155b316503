"""The notebooks: each runs from top to bottom, and shows what it shows when it is run now."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.repository import ROOT

nbformat = pytest.importorskip("nbformat", reason="what reads notebooks is not installed")
pytest.importorskip("nbclient", reason="what executes notebooks is not installed")
pytest.importorskip("ipykernel", reason="the kernel that executes notebooks is not installed")
pytest.importorskip("matplotlib", reason="what draws the plots of the notebooks is not installed")

NOTEBOOKS = ROOT / "notebooks"
BOOKS = sorted(NOTEBOOKS.glob("*.ipynb"))
LIVE = "1-proc-and-make-private"
"""The one whose outputs are measured on this kernel: its pids and numbers are others each time."""

STALE = "the notebook shows what was, not what is: run `make notebooks`, and look at what has changed"

every_book = pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)


@pytest.fixture(scope="module")
def executed(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """All of them as ``make notebooks`` leaves them, without a network."""
    directory = tmp_path_factory.mktemp("notebooks")

    def execute(book: Path) -> subprocess.CompletedProcess[str]:
        command = ["unshare", "--net", sys.executable, NOTEBOOKS / "execute.py", "--to", directory, book]
        return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=300)

    if shutil.which("unshare") is None:
        pytest.skip("not installed: unshare")
    with ThreadPoolExecutor(max_workers=2) as pool:
        for book, done in zip(BOOKS, pool.map(execute, BOOKS), strict=True):
            assert done.returncode == 0, f"{book.name}: {done.stderr[-4000:]}"
    return {book.stem: read(directory / book.name) for book in BOOKS}


def read(book: Path) -> Any:
    return nbformat.read(book, as_version=4)


def code_cells(book: Any) -> list[Any]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def shown(book: Any, *, live: bool) -> Iterator[tuple[str, str, str]]:
    """What the outputs say: the source of each cell, the media type, and the text, without what may be otherwise."""
    for cell in code_cells(book):
        for output in cell.outputs:
            if output.output_type == "stream":
                yield cell.source, output.name, plain(output.text, live=live)
            for media, data in sorted(output.get("data", {}).items()):
                if media in ("text/plain", "text/markdown"):
                    yield cell.source, media, plain(data, live=live)
                elif media in ("text/html", "image/svg+xml"):
                    # What pandas puts around the words is its own.
                    its_own = re.search(r'<table (?:border="1" class="dataframe"|id="T_)', data)
                    yield cell.source, media, plain(words(data) if its_own else data, live=live)


def plain(text: str, *, live: bool) -> str:
    text = re.sub(r"\b0x[0-9a-f]+\b", "#", text)
    # The width of a column follows from the numbers in it.
    return " ".join(re.sub(r"\d+|-{3,}", "#", text).split()) if live else " ".join(text.split())


def words(html: str) -> str:
    return re.sub(r"<style.*?</style>|<[^>]*>", " ", html, flags=re.DOTALL)


def pictures(book: Any) -> list[bytes]:
    outputs = [output for cell in code_cells(book) for output in cell.outputs]
    return [base64.b64decode(output.data["image/png"]) for output in outputs if "image/png" in output.get("data", {})]


def thumbnail(picture: bytes) -> list[int]:
    """What is left of a picture where fonts differ a little: 64 by 64 shades of grey."""
    image = pytest.importorskip("PIL.Image", reason="what reads pictures is not installed")
    return list(image.open(io.BytesIO(picture)).convert("L").resize((64, 64), image.Resampling.BOX).tobytes())


def unlike(one: bytes, other: bytes) -> float:
    """By how many of 255 shades two pictures differ on average."""
    return sum(abs(a - b) for a, b in zip(thumbnail(one), thumbnail(other), strict=True)) / (64 * 64)


@every_book
def test_it_begins_with_a_question_and_ends_with_the_answer(book: Path) -> None:
    cells = read(book).cells
    assert re.match(rf"# {book.stem[0]}\. .*\n\n\*\*The question\.\*\* ", cells[0].source)
    assert "## The answer\n" in cells[-1].source
    assert f"]({book.name})" in (NOTEBOOKS / "README.md").read_text()


@every_book
def test_it_was_executed_from_top_to_bottom(book: Path) -> None:
    cells = code_cells(read(book))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@every_book
def test_it_is_small_and_has_no_trouble_to_show(book: Path) -> None:
    assert book.stat().st_size < 1_000_000
    outputs = [output for cell in code_cells(read(book)) for output in cell.outputs]
    assert [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"] == []
    assert str(ROOT) not in book.read_text()


@every_book
def test_its_outputs_are_those_of_today(book: Path, executed: Mapping[str, Any]) -> None:
    live = book.stem == LIVE
    kept, now = (list(shown(one, live=live)) for one in (read(book), executed[book.stem]))
    assert [media for _, media, _ in kept] == [media for _, media, _ in now], STALE
    for (source, media, before), (_, _, after) in zip(kept, now, strict=True):
        assert before == after, f"{STALE}; {media} of:\n{source}"


@every_book
def test_its_pictures_are_those_of_today(book: Path, executed: Mapping[str, Any]) -> None:
    kept, now = pictures(read(book)), pictures(executed[book.stem])
    assert kept
    assert len(kept) == len(now)
    differing = [number for number, pair in enumerate(zip(kept, now, strict=True), 1) if unlike(*pair) > 6]
    assert differing == [], STALE


def test_a_change_of_an_output_is_noticed() -> None:
    """What the two tests above compare."""
    book = read(BOOKS[1])
    before, kept = list(shown(book, live=False)), pictures(book)
    tables = [output for cell in code_cells(book) for output in cell.outputs if "text/plain" in output.get("data", {})]
    tables[-1].data["text/plain"] += " 1"
    assert list(shown(book, live=False)) != before
    assert max(unlike(one, other) for one, other in pairwise(kept)) > 6

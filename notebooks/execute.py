"""Executes the notebooks, each from top to bottom in a new kernel: ``make notebooks``.

::

    python notebooks/execute.py                       # all of them, in place
    python notebooks/execute.py --to /tmp 3-hunting-a-leak.ipynb
"""

from __future__ import annotations

import argparse
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image
from traitlets.config import Config

HERE = Path(__file__).resolve().parent
SECONDS = 120
"""How long one cell may take."""


def execute(notebook: Path) -> NotebookNode:
    """The notebook with the outputs that it has now; without what changes from run to run and says nothing."""
    book: NotebookNode = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    with TemporaryDirectory() as directory:
        # Over sockets of the filesystem, which nobody else can reach.
        config = Config({"KernelManager": {"transport": "ipc", "ip": f"{directory}/kernel"}})
        resources = {"metadata": {"path": str(HERE)}}
        settings: dict[str, Any] = {"kernel_name": "python3", "timeout": SECONDS, "record_timing": False}
        NotebookClient(book, config=config, resources=resources, **settings).execute()
    book["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for output in (output for cell in book.cells for output in cell.get("outputs", ())):
        if "image/png" in output.get("data", {}):
            output.data["image/png"] = _smaller(output.data["image/png"])
    return book


def _smaller(picture: str) -> str:
    """The same picture in 128 colours, which plots do not exceed: a third of its size."""
    small = BytesIO()
    Image.open(BytesIO(b64decode(picture))).convert("RGB").quantize(128).save(small, "PNG", optimize=True)
    return b64encode(small.getvalue()).decode()


def main() -> None:
    """Execute what the command line names."""
    parser = argparse.ArgumentParser(description="Execute the notebooks.")
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(HERE.glob("*.ipynb")))
    parser.add_argument("--to", type=Path, metavar="DIRECTORY", help="where to write them (default: in place)")
    arguments = parser.parse_args()
    for notebook in arguments.notebooks:
        book = execute(notebook)
        to = arguments.to / notebook.name if arguments.to else notebook
        nbformat.write(book, to)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()

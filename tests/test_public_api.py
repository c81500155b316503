"""``import mntscope``: what it offers is there, is documented, and is never shadowed by a module."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import mntscope

FOUND = (found.name for found in pkgutil.walk_packages(mntscope.__path__, "mntscope."))
MODULES = sorted(name for name in FOUND if name != "mntscope.__main__")  # which runs when it is imported


@pytest.mark.parametrize("name", mntscope.__all__)
def test_a_public_name_is_there_and_documented(name: str) -> None:
    assert inspect.getdoc(getattr(mntscope, name))


def test_no_module_hides_a_public_name() -> None:
    for module in MODULES:
        importlib.import_module(module)
    assert [name for name in mntscope.__all__ if isinstance(getattr(mntscope, name), ModuleType)] == []


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = mntscope.nonsense


IMPORTS_EACH_FIRST = """
import os, sys
import IPython, lark, numpy, pandas, rich.console, zstandard
for module in sys.argv[1:]:
    if os.fork() == 0:
        __import__(module)
        os._exit(0)
    if os.wait()[1]:
        print(module, flush=True)
"""


def test_each_module_can_be_imported_first() -> None:
    # Each in a process that has loaded other people's libraries only, so that it cannot lean on what came before it.
    program = [sys.executable, "-c", IMPORTS_EACH_FIRST, *MODULES]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize(("former", "name"), [("Census", "NamespaceList"), ("Holding", "Holders")])
def test_a_former_name_is_still_found(former: str, name: str) -> None:
    assert getattr(mntscope, former) is getattr(mntscope, name)

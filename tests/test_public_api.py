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


@pytest.mark.parametrize("module", MODULES)
def test_a_module_can_be_imported_first(module: str) -> None:
    # Alone, so that it cannot lean on what another test happened to import.
    result = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("former", "name"), [("Census", "NamespaceList"), ("Holding", "Holders")])
def test_a_former_name_is_still_found(former: str, name: str) -> None:
    assert getattr(mntscope, former) is getattr(mntscope, name)

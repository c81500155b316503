"""Where things are in the repository; no test works its way up from its own file."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The directory with pyproject.toml."""
DATA = ROOT / "tests/data"
"""What was recorded, or written for the tests, each folder with a README that says how."""
FIXTURES = ROOT / "fixtures"
"""Captured machines, which the documentation shows too."""
PUBLIC_TABLES = ROOT.parent / "shared/corpus"
"""Other people's tables, beside the repository and not in it; ``tests/test_public_tables.py`` alone may read them."""

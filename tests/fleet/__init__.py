"""Many hosts as one data set."""

import pytest

for _library in ("duckdb", "fsspec", "pyarrow"):
    pytest.importorskip(_library, reason=f"what a fleet takes is not installed: {_library}")

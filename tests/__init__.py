"""The tests, one module a room; run ``make test``."""

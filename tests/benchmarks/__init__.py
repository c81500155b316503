"""How quick mntscope is beside its peers, and how each command grows: ``python -m tests.benchmarks``."""

"""Tests of mntscope/isolate."""

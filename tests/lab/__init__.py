"""Tests of mntscope/lab."""

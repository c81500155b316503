"""Tests of mntscope/selftest."""

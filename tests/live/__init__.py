"""Tests of mntscope/live."""

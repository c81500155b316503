"""Tests of mntscope/cli."""

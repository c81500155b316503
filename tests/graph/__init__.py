"""Tests of mntscope/graph."""

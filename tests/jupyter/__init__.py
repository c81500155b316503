"""Tests of mntscope/jupyter."""

"""Tests of mntscope/archive."""

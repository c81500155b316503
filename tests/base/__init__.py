"""Tests of mntscope/base."""

"""Tests of mntscope/output."""

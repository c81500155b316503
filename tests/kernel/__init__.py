"""Tests of mntscope/kernel."""

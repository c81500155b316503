"""Tests of mntscope/propagation."""

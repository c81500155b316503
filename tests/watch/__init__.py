"""Tests of mntscope.watch."""

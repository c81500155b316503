"""Tests of mntscope/frames."""

"""Tests of mntscope/parse."""

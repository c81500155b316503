"""Tests of mntscope/analysis."""

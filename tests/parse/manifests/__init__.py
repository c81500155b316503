"""Tests of mntscope/parse/manifests."""

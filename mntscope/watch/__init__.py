"""Watching a machine: sources of events, and what they mean."""

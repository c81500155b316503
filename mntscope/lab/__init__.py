"""The lab: the story of a mount of proc that reaches the host, performed on the running kernel, harmlessly."""

from mntscope.lab.acts import ACTS, LEAKING, Act, Facts, Kept, Reading, Run, Story, keep, perform, tell
from mntscope.lab.scene import Actor, Listed, ProcView, Scene

__all__ = [
    "ACTS",
    "LEAKING",
    "Act",
    "Actor",
    "Facts",
    "Kept",
    "Listed",
    "ProcView",
    "Reading",
    "Run",
    "Scene",
    "Story",
    "keep",
    "perform",
    "tell",
]

"""The lab: the story of a mount of proc that reaches the host, performed on the running kernel, harmlessly."""

from mntscope.lab.acts import ACTS, LEAKING, Act, Facts, Kept, Moment, Performance, Story, keep, perform, tell
from mntscope.lab.scene import Actor, Listed, Scene, Sight

__all__ = [
    "ACTS",
    "LEAKING",
    "Act",
    "Actor",
    "Facts",
    "Kept",
    "Listed",
    "Moment",
    "Performance",
    "Scene",
    "Sight",
    "Story",
    "keep",
    "perform",
    "tell",
]

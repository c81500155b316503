"""What can be wrong with a machine's mounts: one rule a file, each with its evidence and its remedy.

:mod:`rule` says what a rule is and what it finds, :mod:`machine` what all rules look at, :mod:`roles` who is who there;
:mod:`catalogue` lists the rules, :mod:`audit` asks them, and :mod:`policy` is what a site makes of the answers.
"""

from mntscope.rules.audit import Audit, Waived, audit
from mntscope.rules.catalogue import RULES, by_id, installed
from mntscope.rules.machine import Machine
from mntscope.rules.policy import Policy, Waiver
from mntscope.rules.roles import ROLES, Role
from mntscope.rules.rule import Confidence, Deferred, Evidence, Finding, Reference, Rule

__all__ = [
    "ROLES",
    "RULES",
    "Audit",
    "Confidence",
    "Deferred",
    "Evidence",
    "Finding",
    "Machine",
    "Policy",
    "Reference",
    "Role",
    "Rule",
    "Waived",
    "Waiver",
    "audit",
    "by_id",
    "installed",
]

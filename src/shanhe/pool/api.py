"""The door of the pool for other modules."""

from __future__ import annotations

from shanhe.pool.agent.main import Setup, serve
from shanhe.pool.agent.ray_host import Cluster
from shanhe.pool.errors import BadToken, IdentityTaken, NodeExists, UnknownNode, WrongState
from shanhe.pool.messages import told
from shanhe.pool.model import Hour, Node, NodeEvent, NodeState, Offer, Report
from shanhe.pool.service import Pool
from shanhe.pool.suspicion import AuditTerms, Check, terms_of

__all__ = [
    "AuditTerms",
    "BadToken",
    "Check",
    "Cluster",
    "Hour",
    "IdentityTaken",
    "Node",
    "NodeEvent",
    "NodeExists",
    "NodeState",
    "Offer",
    "Pool",
    "Report",
    "Setup",
    "UnknownNode",
    "WrongState",
    "serve",
    "terms_of",
    "told",
]

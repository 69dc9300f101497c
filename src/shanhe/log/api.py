"""The log's only door."""

from shanhe.log.errors import (
    BadEntry,
    FeedRewound,
    LogRewound,
    NotLeader,
    NotSealedYet,
    OpeningErased,
    ProofRefused,
    UnknownEntry,
    UnknownWitness,
)
from shanhe.log.jobs import LogGauges, forget, tick
from shanhe.log.keys import KeyState, LogKey, Ring, listed_keys
from shanhe.log.model import Recovered, SignedHead, Status
from shanhe.log.note import VerifierKey
from shanhe.log.proof import SUFFIX, Proof, Verified, verify
from shanhe.log.remote import open_source, submit
from shanhe.log.service import Log
from shanhe.log.witness import Alarm, Witness, open_signer
from shanhe.log.words import describe

__all__ = [
    "SUFFIX",
    "Alarm",
    "BadEntry",
    "FeedRewound",
    "KeyState",
    "Log",
    "LogGauges",
    "LogKey",
    "LogRewound",
    "NotLeader",
    "NotSealedYet",
    "OpeningErased",
    "Proof",
    "ProofRefused",
    "Recovered",
    "Ring",
    "SignedHead",
    "Status",
    "UnknownEntry",
    "UnknownWitness",
    "Verified",
    "VerifierKey",
    "Witness",
    "describe",
    "forget",
    "listed_keys",
    "open_signer",
    "open_source",
    "submit",
    "tick",
    "verify",
]

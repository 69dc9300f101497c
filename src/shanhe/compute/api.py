"""The door of compute for other modules."""

from __future__ import annotations

from shanhe.compute.address import private_folder, run_folder, socket_path
from shanhe.compute.cards import card, cards
from shanhe.compute.counting import EngineCount
from shanhe.compute.discovery import Discovery, FoundModel
from shanhe.compute.errors import (
    BadEngine,
    ChildFailed,
    DataClassRefused,
    DownloadFailed,
    EngineBusy,
    EngineExists,
    EngineFailed,
    FeatureUnsupported,
    NoEngine,
    NoPrice,
    NoSpace,
    NoTokenizer,
    UnknownEngine,
    UnknownModel,
)
from shanhe.compute.fetch import DEFAULT_SOURCES, default_cache, progress_of, pull
from shanhe.compute.gauges import EngineGauges
from shanhe.compute.model import (
    BUCKETS,
    DEFAULT_FEATURES,
    EFFORT,
    SCENES,
    SWITCH,
    TEMPLATE,
    TYPE,
    Engine,
    EngineKind,
    EngineModel,
    EngineStatus,
    Health,
    Kind,
    ModelCard,
    ModelInfo,
    NewEngine,
    NodeEngine,
    NodeModel,
    Prices,
    PullState,
    Rates,
    Speed,
    TestReport,
)
from shanhe.compute.openmp import has_openmp
from shanhe.compute.price_desk import PRICE_TOPIC
from shanhe.compute.pricing import Decision, PriceRule
from shanhe.compute.runner import LlamaSupervisor, ModelRunner
from shanhe.compute.service import Compute
from shanhe.compute.target import Target

__all__ = [
    "BUCKETS",
    "DEFAULT_FEATURES",
    "DEFAULT_SOURCES",
    "EFFORT",
    "PRICE_TOPIC",
    "SCENES",
    "SWITCH",
    "TEMPLATE",
    "TYPE",
    "BadEngine",
    "ChildFailed",
    "Compute",
    "DataClassRefused",
    "Decision",
    "Discovery",
    "DownloadFailed",
    "Engine",
    "EngineBusy",
    "EngineCount",
    "EngineExists",
    "EngineFailed",
    "EngineGauges",
    "EngineKind",
    "EngineModel",
    "EngineStatus",
    "FeatureUnsupported",
    "FoundModel",
    "Health",
    "Kind",
    "LlamaSupervisor",
    "ModelCard",
    "ModelInfo",
    "ModelRunner",
    "NewEngine",
    "NoEngine",
    "NoPrice",
    "NoSpace",
    "NoTokenizer",
    "NodeEngine",
    "NodeModel",
    "PriceRule",
    "Prices",
    "PullState",
    "Rates",
    "Speed",
    "Target",
    "TestReport",
    "UnknownEngine",
    "UnknownModel",
    "card",
    "cards",
    "default_cache",
    "has_openmp",
    "private_folder",
    "progress_of",
    "pull",
    "run_folder",
    "socket_path",
]

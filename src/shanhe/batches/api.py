"""The door of batches for other modules."""

from __future__ import annotations

from shanhe.batches.errors import BadBatch, BadUpload, BatchEnded, FileInUse, UnknownBatch, UnknownFile
from shanhe.batches.model import Batch, File, Line, batch_id, file_id
from shanhe.batches.runner import Runner
from shanhe.batches.service import Batches
from shanhe.batches.wire import Wire, batch_view, file_view

__all__ = [
    "BadBatch",
    "BadUpload",
    "Batch",
    "BatchEnded",
    "Batches",
    "File",
    "FileInUse",
    "Line",
    "Runner",
    "UnknownBatch",
    "UnknownFile",
    "Wire",
    "batch_id",
    "batch_view",
    "file_id",
    "file_view",
]

"""The door of data sets for other modules."""

from __future__ import annotations

from shanhe.datasets.errors import PersonalDataInside, UnknownDataset, UnreadableFile
from shanhe.datasets.model import FORMS, Cleaning, Dataset, Use, Version
from shanhe.datasets.pairs import Pair
from shanhe.datasets.privacy import personal_data
from shanhe.datasets.service import Datasets, NewDataset

__all__ = [
    "FORMS",
    "Cleaning",
    "Dataset",
    "Datasets",
    "NewDataset",
    "Pair",
    "PersonalDataInside",
    "UnknownDataset",
    "UnreadableFile",
    "Use",
    "Version",
    "personal_data",
]

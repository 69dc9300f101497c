"""Models made in this city: each with a card of its own beside the packaged ones, in the city's folder of models."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Final

import msgspec

from shanhe.compute.fetch import sha256_of
from shanhe.compute.model import ModelCard
from shanhe.kernel.errors import Invalid

FOLDER: Final = "made"
NAME: Final = re.compile(r"^[a-z0-9][a-z0-9.-]{0,60}$")


def card_path(data: Path, model: str) -> Path:
    return data / "models" / FOLDER / f"{model}.json"


def read_made(data: Path, model: str) -> ModelCard | None:
    """The card of a model made here; None when there is none."""
    if not NAME.match(model):
        return None
    try:
        return msgspec.json.decode(card_path(data, model).read_bytes(), type=ModelCard)
    except FileNotFoundError:
        return None


def keep_made(data: Path, card: ModelCard, file: Path) -> Path:
    """Put a model's file and card where the city serves from; the file is checked against the card first."""
    if not NAME.match(card.id):
        said = f"{card.id!r} can't be a model's name."
        raise Invalid("bad_model_name", said, message_zh=f"{card.id!r} 不能作为模型名。")
    if file.stat().st_size != card.size_bytes or sha256_of(file) != card.sha256:
        raise Invalid(
            "model_changed", "The model's file is not the one that was measured.",
            message_zh="模型文件与评测时不一致。", hint="Run the job again.", hint_zh="请重新运行任务。",
        )  # fmt: skip
    path = data / "models" / card.file
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        coming = path.with_suffix(".coming")
        coming.unlink(missing_ok=True)
        try:
            os.link(file, coming)
        except OSError:
            shutil.copyfile(file, coming)
        coming.replace(path)
    write_card(data, card)
    return path


def write_card(data: Path, card: ModelCard) -> None:
    """Let the supervisor know a model by its card."""
    known = card_path(data, card.id)
    known.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = known.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(card))
    fresh.replace(known)

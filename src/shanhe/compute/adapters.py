"""Adapters on one base: all that answer now are held by one child, each a model of its own by a number in its calls.

llama.cpp takes adapters when it loads. So the set of adapters names the child: another set is another child, started
beside the one before, which ends when its calls are answered. Weights are mapped and shared by both.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from shanhe.compute import store
from shanhe.compute.address import UNIX
from shanhe.compute.cards import card
from shanhe.compute.fetch import sha256_of
from shanhe.compute.made import FOLDER, read_made, write_card
from shanhe.compute.model import ModelCard
from shanhe.kernel.errors import Invalid

ADAPTERS_MAX: Final = 32
"""Most adapters of one child."""
SLOTS: Final = 4
NAME_CHARS: Final = 40
HASH_CHARS: Final = 12


def host_of(base: ModelCard, files: Sequence[str]) -> ModelCard:
    """The card of the child that holds a base and these adapters."""
    digest = hashlib.sha256("\n".join((base.sha256, *files)).encode()).hexdigest()
    name = f"{base.id[:NAME_CHARS].rstrip('.-')}.lora-{digest[:HASH_CHARS]}"
    return replace(base, id=name, adapters=tuple(files), lazy=True, slots=SLOTS)


def keep_adapter(data: Path, name: str, file: Path, sha256: str) -> None:
    """Put an adapter's file where children read it from, checked against what was measured."""
    if sha256_of(file) != sha256:
        raise Invalid(
            "model_changed", "The adapter's file is not the one that was measured.",
            message_zh="适配器文件与评测时不一致。", hint="Run the job again.", hint_zh="请重新运行任务。",
        )  # fmt: skip
    path = data / "models" / name
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        coming = path.with_suffix(".coming")
        shutil.copyfile(file, coming)
        os.replace(coming, path)


def delete_made(data: Path, files: Sequence[str]) -> int:
    """Delete what was made here: these files, and every card that names one of them; how many files."""
    gone = 0
    for path in sorted((data / "models" / FOLDER).glob("*.json")):
        known = read_made(data, path.stem)
        if known is not None and {known.file, *known.adapters} & set(files):
            path.unlink(missing_ok=True)
            gone += 1
    for name in files:
        path = data / "models" / name
        gone += path.is_file()
        path.unlink(missing_ok=True)
    return gone


async def arrange(conn: Any, data: Path, base: str) -> None:
    """Let one child hold the adapters of a base that are to answer, and their engines lead to it."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('adapters:' || $1, 0))", base)
    rows = await store.adapters(conn, base)
    wanted = [row for row in rows if row["enabled"]]
    if len(wanted) > ADAPTERS_MAX:
        raise Invalid(
            "too_many_adapters", f"{ADAPTERS_MAX} adapters answer on {base} already.",
            message_zh=f"{base} 上已有 {ADAPTERS_MAX} 个适配器提供服务。",
            hint="Deploy the merged model, or take another out of service.",
            hint_zh="请部署合并后的模型，或先下线其他适配器。",
        )  # fmt: skip
    host = host_of(card(base), [row["file"] for row in wanted])
    for at, row in enumerate(wanted):
        await store.lead_to(conn, row["engine"], f"{UNIX}{host.id}", host.id, at)
    left = {row["upstream"] for row in rows if row["adapter"] is not None} - {host.id}
    for old in sorted(left):
        await conn.execute("SELECT pg_notify($1, $2)", store.WANTED_CHANNEL, store.UNWANTED + old)
    if wanted:
        write_card(data, host)
        await conn.execute("SELECT pg_notify($1, $2)", store.WANTED_CHANNEL, host.id)

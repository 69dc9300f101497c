"""`shanhe vault`: the keys of everybody's data, and the master key over them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from shanhe.cli.common import Data, Json, database, err, pairs, run, settings_for, show

if TYPE_CHECKING:
    from pathlib import Path

    from shanhe.kernel.vault import Vault
    from shanhe.settings import Settings

SEALED = """主密钥已用 SHANHE_VAULT_KEY 封存；更早的密钥备份仍需当时的值
the master key is sealed with SHANHE_VAULT_KEY; older backups of the keys need the value of their time"""
PLAIN = "主密钥未封存 · the master key is not sealed"
AGAIN = "轮换未完成，请再次运行 · going on or interrupted: run `shanhe vault rotate` again"
ROTATED = """把密钥已换上新主密钥；旧的密钥备份仍能打开旧数据，请重新备份并销毁旧的
keys are under a new master key; an older backup of the keys still opens everything: make a new one, destroy the old."""

app = typer.Typer(no_args_is_help=True)


def _vault(data: Data) -> Vault:
    from shanhe.kernel.vault import Vault

    settings = settings_for(data)
    return Vault(_folder(settings), root_key=settings.vault_root_key)


def _folder(settings: Settings) -> Path:
    from shanhe.kernel.errors import NotFound

    folder = settings.data / "keys"
    if not (folder / "master.key").exists():
        raise NotFound(
            "no_keys", f"There are no keys in {folder}.", message_zh=f"{folder} 中没有密钥。",
            hint="Name the city's folder with --data.", hint_zh="请用 --data 指定城市的数据目录。",
        )  # fmt: skip
    return folder


@app.command()
def status(data: Data = None, as_json: Json = False) -> None:
    """How many keys there are, whether the master key is sealed, and whether a rotation was interrupted."""
    found = _vault(data).standing()
    plain = {
        "people": found.people, "secrets": found.secrets, "masters": found.masters, "sealed": found.sealed,
        "interrupted": found.masters > 1,
    }  # fmt: skip
    advice = {"→": AGAIN} if found.masters > 1 else {}
    show(as_json, plain, lambda: pairs({**plain, **advice}))


@app.command()
def rotate(data: Data = None, as_json: Json = False) -> None:
    """Make a new master key, wrap every key with it, forget the old one; beside the running city. Repeat when it was
    interrupted: nothing is lost meanwhile."""
    vault = _vault(data)
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, disable=as_json) as bars:
        task = bars.add_task("重新封装密钥 wrapping keys", total=None)
        wrapped = vault.rotate_master(lambda done, total: bars.update(task, completed=done, total=total))
    show(as_json, {"wrapped": wrapped}, lambda: f"✓ {wrapped} {ROTATED}")


@app.command()
def seal(data: Data = None, as_json: Json = False) -> None:
    """Seal the master key with SHANHE_VAULT_KEY, in place of SHANHE_VAULT_KEY_BEFORE; stop the whole city first."""
    from shanhe.kernel.process import Held
    from shanhe.kernel.vault import Vault, VaultLocked
    from shanhe.supervisor import LOCK_FILE

    settings = settings_for(data)
    folder, known = _folder(settings), replace(settings, vault_key=settings.vault_key_before)
    with Held(settings.data / LOCK_FILE):
        try:
            Vault(folder, root_key=settings.vault_root_key)
        except VaultLocked as locked:
            try:
                Vault(folder, root_key=known.vault_root_key).seal(settings.vault_root_key)
            except VaultLocked:
                raise VaultLocked("other") from locked
    sealed = settings.vault_root_key is not None
    show(as_json, {"sealed": sealed}, lambda: f"✓ {SEALED if sealed else PLAIN}")


@app.command()
def adopt(data: Data = None, as_json: Json = False) -> None:
    """Go on with the keys that are here after the city's own were lost for good: what those opened stays unreadable."""
    from shanhe.backup.belonging import adopt as take

    async def work() -> int:
        async with database(settings_for(data)) as settings:
            return await take(settings)

    lost = run(work())
    show(as_json, {"unreadable_people": lost}, lambda: f"✓ {lost} 人的数据无法再读取 · people unreadable for good")

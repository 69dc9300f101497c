"""`shanhe card`: verify a credential offline, with nothing but its issuer's public keys."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from shanhe.cli.common import Data, Json, in_city, pairs, show
from shanhe.kernel.clock import SystemClock
from shanhe.kernel.errors import Invalid

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The presentation: an SD-JWT in a file.", exists=True, dir_okay=False)],
    key: Annotated[Path, typer.Option(help="The issuer's public keys (JWK or JWKS).", exists=True, dir_okay=False)],
    status: Annotated[
        Path | None, typer.Option(help="The issuer's status list, to see whether it was revoked.")
    ] = None,
    at: Annotated[str, typer.Option(help="As of this instant, like 2026-11-20T10:00:00+08:00 (default: now).")] = "",
    audience: Annotated[str, typer.Option(help="Whom the holder signed it for.")] = "",
    nonce: Annotated[str, typer.Option(help="The number the verifier gave the holder.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Verify a card without a network and without a city: who issued it, what it discloses, until when."""
    from shanhe.credentials.api import CredentialRefused, revoked
    from shanhe.credentials.api import verify as verified

    keys, when = _keys(key), _instant(at)
    found = verified(file.read_text(encoding="utf-8"), keys, at=when, audience=audience or None, nonce=nonce or None)
    checked = status is not None and found.status is not None
    if status is not None and found.status is not None:
        uri, index = found.status
        if revoked(status.read_text(encoding="utf-8"), uri, index, keys, at=when):
            raise CredentialRefused("revoked", "its issuer revoked it", "已被签发方撤销")
    told = {**asdict(found), "claims": dict(found.claims), "status_checked": checked}
    shown = {name: value for name, value in found.claims.items() if name not in ("status", "cnf")}
    show(as_json, told, lambda: pairs({
        "可信 valid": "✓", "签发 issuer": found.issuer, "至 until": found.expires, "撤销检查 status": checked, **shown,
    }))  # fmt: skip


@app.command()
def keys(data: Data = None, as_json: Json = False) -> None:
    """The issuer's public keys (JWKS), to be kept by verifiers."""
    done = in_city(data, lambda services: services.credentials.jwks())
    show(True, done)


@app.command()
def rotate(data: Data = None, as_json: Json = False) -> None:
    """Sign with a new key from now on; what the old one signed stays verifiable."""

    async def work(services: Services) -> dict[str, str]:
        return {"kid": await services.credentials.rotate()}

    done = in_city(data, work)
    show(as_json, done, lambda: pairs(done))


def _keys(path: Path) -> list[dict[str, Any]]:
    try:
        found = msgspec.json.decode(path.read_bytes())
    except msgspec.DecodeError:
        found = None
    given = found.get("keys", [found]) if isinstance(found, dict) else None
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise Invalid("bad_key", f"{path} holds no JWK or JWKS.", message_zh=f"{path} 不含 JWK 或 JWKS。")
    return given


def _instant(text: str) -> datetime:
    if not text:
        return SystemClock().now()
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Invalid("bad_instant", f"{text!r} is no instant with a time zone.", message_zh="时间须带时区。")
    return found

"""`shanhe log`: how the transparency log stands, proofs and their verification, keys, forgetting."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from shanhe.cli.common import Data, Json, in_city, pairs, rows, show, show_error
from shanhe.kernel.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from shanhe.app import Services
    from shanhe.log.api import Recovered, Ring, VerifierKey

ALARMED = 4

app = typer.Typer(no_args_is_help=True)
Keys = Annotated[list[str], typer.Option("--key", help="Public key of the log, or a file of such lines; repeatable.")]


@app.command()
def status(data: Data = None, as_json: Json = False) -> None:
    """How many entries are sealed and signed, by which key, and whether anything is wrong."""
    found = in_city(data, lambda services: services.log.status())
    show(as_json, found, lambda: pairs({
        "state": found.state, "origin": found.origin, "key": found.key, "signed": found.signed,
        "root": found.root, "signed at": found.signed_at or "", "waiting": found.waiting,
        "witnesses": f"{found.cosignatures} of {found.witnesses} cosigned", "sealer": found.sealer,
        "problem": found.problem,
    }))  # fmt: skip


@app.command()
def prove(
    receipt: Annotated[UUID, typer.Argument(help="Id of a receipt, posting or recorded entry.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Default: RECEIPT.tlog-proof.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Write a proof that verifies without this city: the entry, what it hides, its place, the signed checkpoint."""
    from shanhe.log.api import SUFFIX

    found = in_city(data, lambda services: services.log.prove(receipt))
    path = output or Path(f"{receipt}{SUFFIX}")
    path.write_text(str(found), encoding="utf-8")
    show(as_json, {"file": str(path), "index": found.index}, lambda: f"✓ {path} · entry {found.index}")


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A .tlog-proof file.")],
    key: Keys,
    witness: Annotated[list[str] | None, typer.Option("--witness", help="Public key of a witness; repeatable.")] = None,
    listed: Annotated[
        Path | None, typer.Option("--list", exists=True, help="The published key list, where a --key signed it.")
    ] = None,
    quorum: Annotated[int, typer.Option(min=0, help="How many of these witnesses must have cosigned.")] = 0,
    as_json: Json = False,
) -> None:
    """Check a proof with public keys alone: no database, no city, no network. Exit code 1 when it does not hold."""
    from shanhe.log.api import describe, listed_keys
    from shanhe.log.api import verify as check

    keys = [one for word in [*key, *(witness or [])] for one in _keys(word)]
    if listed is not None:
        keys += [one for one in listed_keys(listed.read_text(encoding="utf-8"), keys) if one not in keys]
    begin = time.perf_counter()
    found = check(file.read_bytes(), keys, quorum=quorum)
    took_ms = round((time.perf_counter() - begin) * 1000, 2)
    zh, en = describe(found.entry, found.private)
    plain = {
        "valid": True, "index": found.index, "size": found.checkpoint.size, "origin": found.checkpoint.origin,
        "entry": found.entry, "private": found.private, "signed_by": found.logs, "witnesses": found.witnesses,
        "witnessed_at_s": found.witnessed_at_s, "took_ms": took_ms, "zh": zh, "en": en,
    }  # fmt: skip
    show(as_json, plain, lambda: pairs({
        "✓": zh, "": en, "log": found.checkpoint.origin, "entry": f"{found.index} of {found.checkpoint.size}",
        "signed by": "\n".join(found.logs), "witnesses": "\n".join(found.witnesses) or "none", "took": f"{took_ms} ms",
    }))  # fmt: skip


def _keys(word: str) -> list[VerifierKey]:
    """A key as typed, or those of a file, one a line."""
    from shanhe.log.api import VerifierKey

    path = Path(word)
    if "+" in word and not path.exists():
        return [VerifierKey.parse(word)]
    try:
        return [VerifierKey.parse(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise Invalid(
            "key_unreadable",
            f"{word!r} is neither a key nor a readable file.",
            message_zh=f"{word!r} 既不是公钥也不是可读文件。",
            hint="The city prints its key with `shanhe log keys`; it looks like name+id+base64.",
            hint_zh="城市用 `shanhe log keys` 打印公钥，形如 name+id+base64。",
        ) from error


@app.command()
def keys(
    note: Annotated[bool, typer.Option("--note", help="Print the published list as a signed note.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """The log's public keys: the one that signs now first."""

    async def work(services: Services) -> tuple[Ring, str]:
        return services.log.ring(), services.log.key_list()

    ring, listed = in_city(data, work)
    plain = {"origin": ring.origin, "keys": ring.keys, "note": listed}
    lines = "\n".join(f"[bold]{key.state}[/] {key.since} {key.vkey}" for key in ring.keys)  # whole: a key is copied
    show(as_json, plain, lambda: listed if note else lines)


@app.command()
def rotate(data: Data = None, as_json: Json = False) -> None:
    """Make a new signing key. The one before signs beside it until the next rotation, so both verify."""
    made = in_city(data, lambda services: services.log.rotate(actor="cli"))
    show(as_json, made, lambda: f"✓ {made.vkey}")


@app.command()
def seal(data: Data = None, as_json: Json = False) -> None:
    """Seal now instead of within seconds; says how many entries were added. 0 while the running city does it."""

    async def work(services: Services) -> int:
        try:
            return await services.log.seal()
        finally:
            await services.log.close()

    added = in_city(data, work)
    show(as_json, {"added": added}, lambda: f"✓ {added}")


@app.command()
def shred(
    receipts: Annotated[list[UUID], typer.Argument(help="Ids of receipts, postings or recorded entries.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Destroy what entries hide: their salts. The entries, every root and every other proof stay valid."""
    done = in_city(data, lambda services: services.log.shred(receipts, by="cli"))
    show(as_json, {"shredded": done}, lambda: f"✓ {done}")


@app.command()
def recover(
    place: Annotated[str, typer.Option("--from", help="A mirror's address or folder.")] = "",
    alone: Annotated[bool, typer.Option("--alone", help="Witnesses have seen nothing newer than this.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Go on after the database was restored: take what was signed back from the tiles, say so, and seal the rest."""

    async def work(services: Services) -> Recovered:
        try:
            return await services.log.recover(place or None, alone=alone)
        finally:
            await services.log.close()

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {done.adopted} entries adopted, {done.sealed} sealed after {done.signed}")


@app.command()
def witnesses(
    add: Annotated[str, typer.Option(help="Public key of a witness whose cosignatures are taken from now on.")] = "",
    remove: Annotated[str, typer.Option(help="Public key of one that is listed no more.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """The witnesses of the log: list them, add one, remove one."""

    async def work(services: Services) -> list[str]:
        if add:
            await services.log.add_witness(add, by="cli")
        if remove:
            await services.log.remove_witness(remove, by="cli")
        return await services.log.store.witnesses()

    found = in_city(data, work)
    show(as_json, found, lambda: "\n".join(found) or rows((), ()))


@app.command()
def witness(
    url: Annotated[str, typer.Argument(help="Where the log is published: https://city.example/log, or a folder.")],
    state: Annotated[Path, typer.Option(help="Folder of the witness's own key and memory.")],
    key: Keys,
    name: Annotated[str, typer.Option(help="Name in its key, like an address without https://.")] = "witness.local",
    peer: Annotated[list[str] | None, typer.Option(help="Where others see the same log; repeatable.")] = None,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two looks.")] = 30,
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    as_json: Json = False,
) -> None:
    """Follow a log from outside, cosign what continues what was seen, and alarm when it does not: exit code 4."""
    from shanhe.kernel.clock import SystemClock
    from shanhe.log.api import Alarm, Witness, open_signer, open_source, submit

    signer = open_signer(state, name, lambda: os.urandom(32))
    keys = [one for word in key for one in _keys(word)]
    watch = Witness(state, signer, keys, open_source(url), [open_source(one) for one in peer or ()])
    while True:
        try:
            step = watch.step(int(SystemClock().now().timestamp()))
            refused = submit(url, step.cosigned) if "://" in url else "not published"
            plain = {"key": str(signer.verifier), "origin": step.origin, "old_size": step.old_size, "size": step.size,
                     "cosigned": step.cosigned, "refused": refused}  # fmt: skip
            taken = f"not taken: {refused}" if refused else "cosigned"
            show(as_json, plain, lambda: f"✓ {step.origin} {step.old_size} → {step.size} · {taken}")  # noqa: B023
        except Alarm as alarm:
            show_error(alarm)
            raise SystemExit(ALARMED) from None
        except Unavailable as error:
            if once:
                raise
            show_error(error)
        if once:
            return
        time.sleep(every)

"""`shanhe labels`: check offline whether a text, a sound or a picture was made by a model of this city."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from shanhe.cli.common import REFUSED, Data, Json, in_city, show

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)
SOUNDS = (".wav", ".mp3")
PICTURES = (".png", ".jpg", ".jpeg", ".webp")


@app.command()
def key(data: Data = None, as_json: Json = False) -> None:
    """The city's public key, which labels are checked with."""

    async def work(services: Services) -> Any:
        agents = services.agents
        return {"algorithm": "Ed25519", "public_key": agents.labels.public_key, "c2pa_root": agents.provenance.root}

    found = in_city(data, work)
    show(as_json, found, lambda: str(found["public_key"]))


@app.command()
def check(
    file: Annotated[
        Path,
        typer.Argument(
            help="A text, Markdown or Word file, a whole answer as JSON, a WAV or MP3 file, a picture.", exists=True
        ),
    ],
    public_key: Annotated[str, typer.Option("--key", help="The city's public key, see `shanhe labels key`.")],
    label: Annotated[Path | None, typer.Option(help="JSON file with the text's AIGC label.", exists=True)] = None,
    as_json: Json = False,
) -> None:
    """Whether a content carries a genuine label; asks no city and no network."""
    from shanhe.kernel.errors import Invalid
    from shanhe.kernel.labelling import check_picture, check_sound, check_text
    from shanhe.kernel.provenance import ABSENT, state_of

    body, c2pa = file.read_bytes(), ABSENT
    if file.suffix.lower() in SOUNDS:
        try:
            found, c2pa = check_sound(body, public_key), state_of(body)
        except ValueError as error:
            raise Invalid("no_sound", f"{error}.", message_zh="不是 WAV 或 MP3 文件。") from error
    elif file.suffix.lower() in PICTURES:
        try:
            found = check_picture(body, public_key)
        except ValueError as error:
            raise Invalid("no_picture", f"{error}.", message_zh="不是完整的 PNG、JPEG 或 WebP 图片。") from error
    else:
        text, said = _read(body, label)
        found = check_text(text, said, public_key)
    line = f"{'✓' if found.genuine else '✗'} {found.en} {found.zh} {found.content_id} C2PA: {c2pa}"
    show(as_json, {**asdict(found), "c2pa": c2pa}, lambda: line)
    if not found.genuine:
        raise typer.Exit(REFUSED)


@app.command()
def save(
    answer: Annotated[Path, typer.Argument(help="A whole answer as JSON, as it came over `/v1`.", exists=True)],
    file: Annotated[Path, typer.Argument(help="What to write: .txt, .md, .docx or .pdf.")],
    title: Annotated[str, typer.Option(help="Title of a Word or PDF file.")] = "",
    as_json: Json = False,
) -> None:
    """Keep an answer as a file that carries its mark and its label; asks no city and no network."""
    from datetime import UTC, datetime

    from shanhe.kernel import labelled_files
    from shanhe.kernel.documents.pdf import pdf_bytes
    from shanhe.kernel.errors import Invalid

    text, label = _read(answer.read_bytes(), None)
    form, named = file.suffix.lower().lstrip("."), title or file.stem
    if form not in labelled_files.MEDIA or not label:
        raise Invalid("no_label", "The answer has no label, or the file's ending is none of .txt, .md, .docx, .pdf.",
                      message_zh="回答没有标识，或文件后缀不是 .txt、.md、.docx、.pdf。")  # fmt: skip
    if form == "pdf":
        body = pdf_bytes(labelled_files.document(named, text, label, datetime.now(UTC).date()))
    elif form == "docx":
        body = labelled_files.word(named, text, label)
    else:
        body = (labelled_files.markdown if form == "md" else labelled_files.plain_text)(text, label)
    file.write_bytes(body)
    show(as_json, {"file": str(file), "bytes": len(body)}, lambda: f"✓ {file}")


def _read(body: bytes, label: Path | None) -> tuple[str, dict[str, Any]]:
    """(text, label): of an answer as it came over `/v1`, of a file that carries its label, or of a text with its label
    beside it."""
    from shanhe.kernel import labelled_files

    if label is None and body[:2] == b"PK":
        return labelled_files.read(body)
    text = body.decode("utf-8", "replace")
    said = _json(label.read_bytes()) if label is not None else {}
    answer = _json(body)
    if label is None and "choices" not in answer:
        return labelled_files.read(text.encode())
    if label is None:
        text, said = str(answer["choices"][0]["message"]["content"]), answer
    found = said.get("AIGC", said)
    return text, found if isinstance(found, dict) else {}


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}

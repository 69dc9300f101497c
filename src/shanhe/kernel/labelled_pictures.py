"""Labels inside pictures: the `AIGC` object of GB 45438-2025 in their XMP, where the measure's guide wants it. Pure.

PNG keeps XMP in a text chunk, JPEG in a segment, WebP in a chunk of its extended form, which is made where a file has
the simple one. What the label is signed over is all of the file but its XMP. ValueError for what is no such file.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from html import escape, unescape
from typing import Final, NamedTuple

PNG, JPEG, WEBP = "image/png", "image/jpeg", "image/webp"
PNG_MARK: Final = b"\x89PNG\r\n\x1a\n"
PNG_XMP: Final = b"XML:com.adobe.xmp\0"
JPEG_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
WEBP_HEAD_BYTES: Final = 12
XMP_BIT: Final = 0x04
ALPHA_BIT: Final = 0x10
PIECES_MAX: Final = 4096
"""Most chunks or segments of a file."""
SPACE: Final = "http://www.tc260.org.cn/ns/AIGC/1.0/"
PACKET: Final = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
    ' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    f' xmlns:TC260="{SPACE}" TC260:AIGC="%s"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
SAID: Final = re.compile(r'TC260:AIGC="([^"]*)"')
Piece = tuple[bytes, bytes]
"""(name or marker, what it holds); a JPEG's scans are one, under no name."""


class Form(NamedTuple):
    """How a format is taken apart, put together again, and holds XMP."""

    pieces: Callable[[bytes], Iterator[Piece]]
    whole: Callable[[list[Piece]], bytes]
    xmp_of: Callable[[Piece], bytes | None]
    with_xmp: Callable[[list[Piece], bytes], list[Piece]]


def kind_of(body: bytes) -> str:
    """The media type of a picture by its first bytes; empty for what is none that is known here."""
    if body.startswith(PNG_MARK):
        return PNG
    if body.startswith(b"\xff\xd8\xff"):
        return JPEG
    return WEBP if body[:4] == b"RIFF" and body[8:12] == b"WEBP" else ""


def digest(body: bytes) -> bytes:
    """Hash of what is seen: everything but XMP."""
    _, pieces = _apart(body)
    return _digest(pieces)


def labelled(body: bytes, label_of: Callable[[bytes], Mapping[str, str]]) -> tuple[bytes, Mapping[str, str]]:
    """(the same picture with the label that is made of its hash, that label), in the place of XMP that it had."""
    form, pieces = _apart(body)
    label = label_of(_digest(pieces))
    said = json.dumps({"AIGC": dict(label)}, ensure_ascii=False)
    return form.whole(form.with_xmp(pieces, (PACKET % escape(said)).encode())), label


def label_in(body: bytes) -> dict[str, object]:
    """The label of a picture; empty without one."""
    form = FORMS[_known(body)]
    for piece in form.pieces(body):
        packet = form.xmp_of(piece)
        said = None if packet is None else SAID.search(packet.decode(errors="replace"))
        if said is not None:
            try:
                found = json.loads(unescape(said[1]))
            except (ValueError, RecursionError):
                return {}
            label = found.get("AIGC") if isinstance(found, dict) else None
            return label if isinstance(label, dict) else {}
    return {}


def _apart(body: bytes) -> tuple[Form, list[Piece]]:
    """(form, pieces without XMP) of a picture."""
    form = FORMS[_known(body)]
    pieces: list[Piece] = []
    for at, piece in enumerate(form.pieces(body)):
        if at >= PIECES_MAX:
            raise ValueError("a picture of too many pieces")
        if form.xmp_of(piece) is None:
            pieces.append(piece)
    return form, pieces


def _known(body: bytes) -> str:
    if not (kind := kind_of(body)):
        raise ValueError("it is no picture that is known here")
    return kind


def _digest(pieces: list[Piece]) -> bytes:
    seen = hashlib.sha256()
    for name, held in pieces:
        if name == b"VP8X" and held:  # says, too, that there is XMP; in a WebP file it is never empty
            held = bytes([held[0] & ~XMP_BIT]) + held[1:]
        seen.update(name + struct.pack(">I", len(held)) + held)
    return seen.digest()


# -- PNG --------------------------------------------------------------------------------------------------------------


def _png_pieces(body: bytes) -> Iterator[Piece]:
    at = len(PNG_MARK)
    while at < len(body):
        if at + 12 > len(body):
            raise ValueError("a PNG file that ends inside")
        size, name = struct.unpack(">I4s", body[at : at + 8])
        held = body[at + 8 : at + 8 + size]
        if len(held) != size or (at == len(PNG_MARK)) != (name == b"IHDR"):
            raise ValueError("a PNG file that ends inside, or does not begin with its head")
        yield name, held
        if name == b"IEND":
            return
        at += 12 + size
    raise ValueError("a PNG file without its end")


def _png(pieces: list[Piece]) -> bytes:
    parts = [PNG_MARK]
    for name, held in pieces:
        parts += [struct.pack(">I", len(held)), name, held, struct.pack(">I", zlib.crc32(held, zlib.crc32(name)))]
    return b"".join(parts)


def _png_xmp(piece: Piece) -> bytes | None:
    name, held = piece
    return held[len(PNG_XMP) + 4 :] if name == b"iTXt" and held.startswith(PNG_XMP) else None


def _png_with(pieces: list[Piece], packet: bytes) -> list[Piece]:
    return [pieces[0], (b"iTXt", PNG_XMP + b"\0\0\0\0" + packet), *pieces[1:]]


# -- JPEG -------------------------------------------------------------------------------------------------------------


def _jpeg_pieces(body: bytes) -> Iterator[Piece]:
    at = 2
    while at + 4 <= len(body):
        mark, size = body[at : at + 2], int.from_bytes(body[at + 2 : at + 4], "big")
        if mark[0] != 0xFF or size < 2 or at + 2 + size > len(body):
            break
        if mark == b"\xff\xda":  # from here on it is the picture itself
            yield b"", body[at:]
            return
        yield mark, body[at + 4 : at + 2 + size]
        at += 2 + size
    raise ValueError("a JPEG file that ends inside")


def _jpeg(pieces: list[Piece]) -> bytes:
    parts = [b"\xff\xd8"]
    for mark, held in pieces:
        parts += [mark, struct.pack(">H", len(held) + 2), held] if mark else [held]
    return b"".join(parts)


def _jpeg_xmp(piece: Piece) -> bytes | None:
    mark, held = piece
    return held[len(JPEG_XMP) :] if mark == b"\xff\xe1" and held.startswith(JPEG_XMP) else None


def _jpeg_with(pieces: list[Piece], packet: bytes) -> list[Piece]:
    after = 1 if pieces[0][0] == b"\xff\xe0" else 0  # JFIF wants its own segment first
    return [*pieces[:after], (b"\xff\xe1", JPEG_XMP + packet), *pieces[after:]]


# -- WebP -------------------------------------------------------------------------------------------------------------


def _webp_pieces(body: bytes) -> Iterator[Piece]:
    """Of the extended form, which a file of the simple one becomes."""
    at, end = WEBP_HEAD_BYTES, min(len(body), 8 + int.from_bytes(body[4:8], "little"))
    if at >= end:
        raise ValueError("a WebP file without anything in it")
    while at < end:
        name, size = body[at : at + 4], int.from_bytes(body[at + 4 : at + 8], "little")
        held = body[at + 8 : at + 8 + size]
        if len(held) != size or (name == b"VP8X" and size != 10):
            raise ValueError("a WebP file that ends inside")
        if at == WEBP_HEAD_BYTES and name != b"VP8X":
            yield b"VP8X", _extended(name, held)
        yield name, held
        at += 8 + size + size % 2


def _webp(pieces: list[Piece]) -> bytes:
    parts = [b"WEBP"]
    for name, held in pieces:
        parts += [name, struct.pack("<I", len(held)), held, b"\0" * (len(held) % 2)]
    body = b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_xmp(piece: Piece) -> bytes | None:
    return piece[1] if piece[0] == b"XMP " else None


def _webp_with(pieces: list[Piece], packet: bytes) -> list[Piece]:
    head = pieces[0][1]
    return [(b"VP8X", bytes([head[0] | XMP_BIT]) + head[1:]), *pieces[1:], (b"XMP ", packet)]


def _extended(name: bytes, held: bytes) -> bytes:
    """The head of the extended form for a file of the simple one: RFC 9649, 2.7; sizes of VP8 in RFC 6386, 9.1."""
    flags = 0
    if name == b"VP8L" and held[:1] == b"\x2f" and len(held) >= 5:
        bits = int.from_bytes(held[1:5], "little")
        width, height, flags = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, ALPHA_BIT if bits >> 28 & 1 else 0
    elif name == b"VP8 " and held[3:6] == b"\x9d\x01\x2a" and len(held) >= 10:
        width, height = (side & 0x3FFF for side in struct.unpack("<HH", held[6:10]))
    else:
        raise ValueError("a WebP file that does not say its size")
    return bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


FORMS: Final = {
    PNG: Form(_png_pieces, _png, _png_xmp, _png_with),
    JPEG: Form(_jpeg_pieces, _jpeg, _jpeg_xmp, _jpeg_with),
    WEBP: Form(_webp_pieces, _webp, _webp_xmp, _webp_with),
}

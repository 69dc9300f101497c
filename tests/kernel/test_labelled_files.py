"""Generated texts and sounds keep their label in the file: GB 45438-2025's metadata, checked with the city's key."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from dataclasses import asdict
from datetime import date
from html import escape

import pytest
from pypdf import PdfReader

from shanhe.kernel import labelled_files, labelled_pictures
from shanhe.kernel.documents.pdf import pdf_bytes
from shanhe.kernel.http import as_json
from shanhe.kernel.labelled_pictures import label_in as label_in_picture
from shanhe.kernel.labelling import CHUNK, FIELDS, MP3, WAV, Labels, check_picture, check_sound, check_text, label_in
from stage.torn import locked, torn

LABELS = Labels(b"k" * 32, "山河市", "本内容由人工智能生成（{by}），编号 {id}")
TEXT = LABELS.marked("第一段 <b>&amp;</b>\n\n第二段：“引号”，\t制表。", "clone/a", "id-1")
LABEL = LABELS.of_text("id-1", TEXT)


class TestText:
    @pytest.mark.parametrize("form", ["txt", "md", "docx"])
    def test_is_genuine_in_its_file(self, form: str) -> None:
        made = {
            "txt": labelled_files.plain_text(TEXT, LABEL), "md": labelled_files.markdown(TEXT, LABEL),
            "docx": labelled_files.word("标题 <1>", TEXT, LABEL),
        }[form]  # fmt: skip
        text, label = labelled_files.read(made)
        assert list(label) == list(FIELDS)
        found = check_text(text, label, LABELS.public_key)
        assert (found.labelled, found.marked, found.genuine, found.content_id) == (True, True, True, "id-1")
        assert not check_text(text + "。", label, LABELS.public_key).genuine

    def test_in_a_pdf_stands_among_its_keywords(self) -> None:
        made = pdf_bytes(labelled_files.document("标题", TEXT, LABEL, date(2026, 11, 26)))
        pdf = PdfReader(io.BytesIO(made))
        assert pdf.metadata is not None
        said = str(pdf.metadata["/Keywords"])
        assert json.loads(said[said.index("{") :]) == {"AIGC": LABEL}
        assert "由人工智能生成" in pdf.pages[0].extract_text()

    def test_without_a_label_has_none(self) -> None:
        assert labelled_files.read(b'a line\n{"a": 1}\n') == ('a line\n{"a": 1}\n', {})
        word = labelled_files.word("标题", TEXT, LABEL)
        for broken in (b"PK\x03\x04 no zip", b"\xff\xfe\x00", torn(word), locked(word)):
            with pytest.raises(ValueError, match="it is"):
                labelled_files.read(broken)

    def test_of_a_word_file_that_grows_is_not_read(self) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as made:
            made.writestr("word/document.xml", '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>')
            made.writestr("docProps/custom.xml", "<x/>")
        with pytest.raises(ValueError, match="entities"):
            labelled_files.read(packed.getvalue())


class TestSound:
    def test_of_an_mp3_carries_its_label_in_the_tag(self) -> None:
        sound = b"\xff\xfb\x90\x00" + bytes(range(256)) * 2
        for body in (sound, b"ID3\x04\x00\x00\x00\x00\x00\x04tags" + sound):
            made, label = LABELS.media("id-2", MP3, body)
            assert made.endswith(sound)
            assert b"tags" not in made
            found = check_sound(made, LABELS.public_key)
            assert (found.genuine, found.content_id, label["Label"]) == (True, "id-2", "1")
            assert not check_sound(made[:-1] + b"x", LABELS.public_key).genuine

    def test_of_another_format_has_its_label_beside_it(self) -> None:
        for kind, body in (("audio/pcm", b"\0\1" * 50), (WAV, b"RIFF no sound")):
            made, label = LABELS.media("id-3", kind, body)
            assert (made, label["ProduceID"]) == (body, "id-3")

    def test_of_a_wav_has_it_inside(self) -> None:
        import wave

        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setparams((1, 2, 8_000, 0, "NONE", ""))
            file.writeframes(b"\0\1" * 100)
        made, label = LABELS.media("id-4", WAV, out.getvalue())
        assert label_in(made) == label
        assert check_sound(made, LABELS.public_key).genuine


def png_file(*more: tuple[bytes, bytes]) -> bytes:
    made = b"\x89PNG\r\n\x1a\n"
    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    for name, held in ((b"IHDR", head), *more, (b"IDAT", zlib.compress(b"\0\0")), (b"IEND", b"")):
        made += struct.pack(">I", len(held)) + name + held + struct.pack(">I", zlib.crc32(name + held))
    return made


def webp_file(name: bytes, held: bytes) -> bytes:
    body = b"WEBP" + name + struct.pack("<I", len(held)) + held + b"\0" * (len(held) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def spoken(label: str) -> tuple[bytes, bytes]:
    """A piece of a PNG file that says this is its label."""
    return b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + (labelled_pictures.PACKET % escape(label)).encode()


JPEG_FILE = b"\xff\xd8\xff\xe0\0\x04ab\xff\xdb\0\x03c\xff\xda\0\x03dpoints\xff\xd9"
LOSSY = b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 640, 480) + b"points"
LOSSLESS = b"\x2f" + struct.pack("<I", 639 | 479 << 14 | 1 << 28) + b"points!"
EXTENDED = webp_file(b"VP8X", b"\0" * 10)
PICTURES = {
    "png": png_file(),
    "png of a maker": png_file((b"tEXt", b"Software\0x"), (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>")),
    "jpeg": JPEG_FILE, "webp": webp_file(b"VP8 ", LOSSY), "webp without loss": webp_file(b"VP8L", LOSSLESS),
    "webp extended": EXTENDED,
}  # fmt: skip


class TestPicture:
    @pytest.mark.parametrize("name", PICTURES)
    def test_carries_its_label_once_and_is_otherwise_the_same(self, name: str) -> None:
        kind = labelled_pictures.kind_of(PICTURES[name])
        made, label = LABELS.media("id-1", kind, PICTURES[name])
        again, _ = LABELS.media("id-2", kind, made)
        for picture, number in ((made, "id-1"), (again, "id-2")):
            found = check_picture(picture, LABELS.public_key)
            assert (found.labelled, found.genuine, found.content_id) == (True, True, number)
            assert picture.count(b"TC260:AIGC") == 1
        assert label_in_picture(made) == label
        assert b"points" not in PICTURES[name] or b"points" in made

    @pytest.mark.parametrize("name", PICTURES)
    def test_that_was_changed_is_not_genuine(self, name: str) -> None:
        made, _ = LABELS.media("id-1", labelled_pictures.kind_of(PICTURES[name]), PICTURES[name])
        changed = (
            made.replace(b"points", b"pointz")
            .replace(b"IDAT", b"IDAU")
            .replace(b"VP8X\x0a\0\0\0\x04\0", b"VP8X\x0a\0\0\0\x04\x01")
        )
        assert changed != made
        assert not check_picture(changed, LABELS.public_key).genuine
        assert not check_picture(PICTURES[name], LABELS.public_key).labelled

    def test_of_the_extended_webp_says_its_size_and_its_xmp(self) -> None:
        for name, alpha in (("webp", 0), ("webp without loss", 0x10)):
            made, _ = LABELS.media("id-1", "image/webp", PICTURES[name])
            assert made[12:30] == b"VP8X\x0a\0\0\0" + bytes([4 | alpha, 0, 0, 0]) + b"\x7f\x02\0" + b"\xdf\x01\0"
            assert struct.unpack("<I", made[4:8])[0] == len(made) - 8

    @pytest.mark.parametrize("name", PICTURES)
    def test_that_ends_inside_is_refused_or_harmless(self, name: str) -> None:
        for at in range(len(PICTURES[name])):
            part = PICTURES[name][:at]
            try:
                made, _ = LABELS.media("id-1", labelled_pictures.kind_of(part) or "image/png", part)
            except ValueError:
                continue
            assert check_picture(made, LABELS.public_key).genuine

    def test_of_too_many_pieces_is_refused(self) -> None:
        with pytest.raises(ValueError, match="too many"):
            LABELS.media("id-1", "image/png", png_file(*[(b"tEXt", b"")] * 5_000))

    def test_of_a_maker_who_means_harm_has_no_genuine_label(self) -> None:
        for more in (
            (b"VP8X", b""),
            spoken("[" * 100_000),
            spoken('{"AIGC": {"Label": "1", "ContentProducer": "\\ud800", "ProduceID": "\\udfff"}}'),
        ):
            found = check_picture(png_file(more), LABELS.public_key)
            assert (found.genuine, as_json(asdict(found)).status_code) == (False, 200)

    def test_of_too_many_pieces_is_not_looked_through_for_a_label(self) -> None:
        with pytest.raises(ValueError, match="too many"):
            check_picture(png_file(*[(b"tEXt", b"")] * 5_000), LABELS.public_key)


class TestLabel:
    def test_that_is_nested_beyond_reading_is_none(self) -> None:
        deep = "[" * 100_000
        assert labelled_files.read(f"text\n{deep}\n".encode())[1] == {}
        chunks = ((b"fmt ", b"\0" * 16), (b"data", b"\0" * 4), (CHUNK, deep.encode()))
        body = b"".join(name + struct.pack("<I", len(held)) + held for name, held in chunks)
        wav = b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body
        assert not check_sound(wav, LABELS.public_key).labelled

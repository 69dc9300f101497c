"""Pictures, series, texts to speak, sounds to write down: what they cost is known from what they are."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

import httpx
import pytest

from shanhe.gateway.errors import CallError
from shanhe.gateway.faces.transcription import Segment, form_parts, subtitles, wav_seconds
from shanhe.gateway.terms import TermsBook
from shanhe.kernel.clock import FixedClock
from shanhe.rulebook.api import Rulebook

from .conftest import RATES, Desk
from .engine import raw

pytestmark = pytest.mark.asyncio(loop_scope="module")
FUNDS = 1_000_000_000


def png(width: int, height: int) -> str:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + b"\xff" * width for _ in range(height)))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


def wav(seconds: float, *, byte_rate: int = 32_000) -> bytes:
    sound = b"\0\0" * int(16_000 * seconds)
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, byte_rate, 2, 16)
    size = len(sound)
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVE" + head + b"data" + struct.pack("<I", size) + sound


def says(body: Any) -> Any:
    return raw(200, json.dumps(body).encode())


async def cost(desk: Desk, answer: httpx.Response, unit: str) -> int:
    """What was paid, which has to be what the receipt says, and in which unit."""
    receipt = await desk.gateway.receipt(UUID(answer.headers["x-shanhe-receipt"]), desk.org)
    paid = FUNDS - await desk.balance()
    assert (paid, unit) == (receipt.amount_micro, receipt.unit)
    return paid


def price(tokens: int) -> int:
    return tokens * RATES.input // 1_000_000


class TestTerms:
    @pytest.mark.parametrize(
        ("kind", "rule"), [("ocr", "P11_scenes"), ("image", "P11_scenes"), ("image_tokens", "P11"), ("small", "P11")]
    )
    async def test_name_the_rule_that_priced_the_unit(self, kind: str, rule: str) -> None:
        target: Any = type("Target", (), {"price_class": kind, "contributor": None, "cost": None})()
        ledger: Any = None  # nobody is paid but the platform
        terms = await TermsBook(ledger, Rulebook.load(), FixedClock(datetime(2026, 11, 20, 2, tzinfo=UTC))).load(target)
        assert [name for name in terms.rules if name in ("P11", "P11_scenes")] == [rule]


class TestOcr:
    async def test_is_charged_by_its_pixels_whatever_the_engine_claims(self, desk: Desk) -> None:
        desk.engines.kind = "ocr"
        usage = {"prompt_tokens": 9_999_999, "total_tokens": 9_999_999}
        desk.engine.scripts = [says({"lines": [{"text": "居民身份证"}], "text": "居民身份证", "usage": usage})]
        answer = await desk.http.post("/v1/ocr", json={"model": "syn", "image": png(280, 100), "fields": "id_card"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["text"] == "居民身份证"
        assert answer.json()["usage"] == {"prompt_tokens": 36, "total_tokens": 36}
        assert await cost(desk, answer, "tile") == price(36)
        assert desk.engine.requests[0]["fields"] == "id_card"

    async def test_takes_a_data_url_and_the_shape_of_others(self, desk: Desk) -> None:
        desk.engines.kind = "ocr"
        desk.engine.scripts = [says({"lines": [], "text": ""})]
        document = {"type": "image_url", "image_url": "data:image/png;base64," + png(28, 28)}
        answer = await desk.http.post("/v1/ocr", json={"model": "syn", "document": document})
        assert answer.status_code == 200, answer.text
        assert await cost(desk, answer, "tile") == price(1)

    @pytest.mark.parametrize("image", ["", "https://example.com/a.png", "%%%", base64.b64encode(b"GIF89a").decode(),
                                       base64.b64encode(b"\xff\xd8\xff\xe0").decode()])  # fmt: skip
    async def test_of_what_is_no_picture_is_refused(self, desk: Desk, image: str) -> None:
        desk.engines.kind = "ocr"
        answer = await desk.http.post("/v1/ocr", json={"model": "syn", "image": image})
        assert answer.status_code == 400
        assert await desk.balance() == FUNDS

    async def test_beyond_what_a_model_reads_is_refused_before_it_is_charged(self, desk: Desk) -> None:
        desk.engines.kind = "ocr"
        answer = await desk.http.post("/v1/ocr", json={"model": "syn", "image": png(3_000, 1_200)})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")

    async def test_that_comes_back_without_lines_costs_nothing(self, desk: Desk) -> None:
        desk.engines.kind = "ocr"
        desk.engine.default = says({"nothing": True})
        answer = await desk.http.post("/v1/ocr", json={"model": "syn", "image": png(28, 28)})
        assert answer.status_code >= 500
        await desk.idle()
        assert await desk.balance() == FUNDS


class TestForecast:
    ASKED: ClassVar[dict[str, Any]] = {"model": "syn", "series": [[1, 2, 3, 4]], "horizon": 2, "levels": [80]}

    async def test_is_charged_by_numbers_read_and_foretold(self, desk: Desk) -> None:
        desk.engines.kind = "forecast"
        row = {"mean": [5.0, 6.0], "intervals": {"80": {"low": [4, 5], "high": [6, 7]}}}
        desk.engine.scripts = [says({"forecasts": [row]})]
        answer = await desk.http.post("/v1/forecast", json=self.ASKED)
        assert answer.status_code == 200, answer.text
        assert answer.json()["forecasts"] == [row]
        assert await cost(desk, answer, "number") == price(4 + 2 * 3)

    async def test_of_another_length_has_failed(self, desk: Desk) -> None:
        desk.engines.kind = "forecast"
        desk.engine.default = says({"forecasts": [{"mean": [5.0]}]})
        assert (await desk.http.post("/v1/forecast", json=self.ASKED)).status_code >= 500
        await desk.idle()
        assert await desk.balance() == FUNDS

    @pytest.mark.parametrize(
        "changes", [{"series": []}, {"series": [[]]}, {"horizon": 0}, {"levels": [0]}, {"levels": [1, 2, 3, 4, 5, 6]},
                    {"season_length": 0}, {"series": [[1] * 100_001]}]
    )  # fmt: skip
    async def test_of_nothing_is_refused(self, desk: Desk, changes: dict[str, Any]) -> None:
        desk.engines.kind = "forecast"
        assert (await desk.http.post("/v1/forecast", json={**self.ASKED, **changes})).status_code == 400


class TestSpeech:
    async def test_comes_as_sound_and_is_charged_by_signs(self, desk: Desk) -> None:
        desk.engines.kind = "speech"
        desk.engine.scripts = [raw(200, b"RIFF sound", "audio/wav")]
        answer = await desk.http.post("/v1/audio/speech", json={"model": "syn", "input": "汛期将至，请注意安全。"})
        assert answer.status_code == 200, answer.text
        assert (answer.headers["content-type"], answer.content) == ("audio/wav", b"RIFF sound")
        assert await cost(desk, answer, "sign") == price(11)

    async def test_is_labelled_under_its_receipt(self, desk: Desk) -> None:
        desk.engines.kind = "speech"
        desk.engine.scripts = [raw(200, b"sound", "audio/wav")]
        desk.gateway.label(lambda number, media, sound: (media.encode() + b" " + sound, {"ProduceID": number}))
        answer = await desk.http.post("/v1/audio/speech", json={"model": "syn", "input": "请注意安全。"})
        desk.gateway.label(lambda number, media, sound: (sound, {}))
        assert answer.content == b"audio/wav sound"
        label = json.loads(base64.b64decode(answer.headers["x-aigc-label"]))
        assert label == {"AIGC": {"ProduceID": answer.headers["x-shanhe-receipt"]}}

    async def test_that_is_silent_has_failed(self, desk: Desk) -> None:
        desk.engines.kind = "speech"
        desk.engine.default = raw(200, b"", "audio/wav")
        assert (await desk.http.post("/v1/audio/speech", json={"model": "syn", "input": "好"})).status_code >= 500
        await desk.idle()
        assert await desk.balance() == FUNDS


class TestTranscription:
    async def test_reads_its_form_by_the_boundary_that_is_there(self) -> None:
        body = (
            b'--xx\r\nContent-Disposition: form-data; name="model"\r\n\r\nsyn\r\n'
            b'--xx\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
            b"Content-Type: audio/wav\r\n\r\nab\r\n\r\ncd\r\n--xx--\r\n"
        )
        assert form_parts(body) == {"model": ("", b"syn"), "file": ("a.wav", b"ab\r\n\r\ncd")}
        with pytest.raises(CallError):
            form_parts(b'{"model": "syn"}')

    @pytest.mark.parametrize("byte_rate", [32_000, 4_000_000_000])
    async def test_measures_a_wav_by_what_a_decoder_reads(self, byte_rate: int) -> None:
        assert wav_seconds(wav(2, byte_rate=byte_rate)) == pytest.approx(2, abs=0.01)
        hidden = b"RIFF\0\0\0\0WAVELIST" + struct.pack("<I", 8) + b"fmt \0\0\0\0" + wav(2)[12:]
        assert wav_seconds(hidden) == pytest.approx(2, abs=0.01)
        assert wav_seconds(b"ID3") is None

    @pytest.mark.parametrize(("claimed", "charged"), [(2.0, 100), (3_600.0, 101)])
    async def test_is_charged_by_seconds_within_what_the_file_can_hold(
        self, desk: Desk, claimed: float, charged: int
    ) -> None:
        desk.engines.kind = "transcription"
        segments = [{"start": 0.0, "end": 2.0, "text": "水位上涨"}]
        heard = {"text": "水位上涨", "segments": segments, "usage": {"type": "duration", "seconds": claimed}}
        seen: list[bytes] = []
        desk.engine.scripts = [says(heard)]
        desk.engine.default = says(heard)
        forms(desk, seen)
        answer = await desk.http.post(
            "/v1/audio/transcriptions", data={"model": "syn"}, files={"file": ("a.wav", wav(2))}
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["text"] == "水位上涨"
        paid = await cost(desk, answer, "tick")
        assert price(charged) <= paid <= price(charged + 48)
        assert form_parts(seen[0])["model"] == ("", b"syn")
        assert form_parts(seen[0])["file"][1] == wav(2)

    async def test_is_written_as_subtitles(self) -> None:
        rows = [Segment(0, 1.5, " 水位"), Segment(3_661.25, 3_662, "上涨")]
        assert subtitles(rows, "srt") == (
            "1\n00:00:00,000 --> 00:00:01,500\n水位\n\n2\n01:01:01,250 --> 01:01:02,000\n上涨\n"
        )
        assert subtitles(rows, "vtt").startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.500\n水位\n")


def forms(desk: Desk, seen: list[bytes]) -> None:
    """Let the scripted engine take forms, and keep them."""
    engine: Any = desk.engine
    engine.decode = lambda body: seen.append(body) or {}

"""The process that runs an algorithm of one purpose: its protocol with a stand-in, each algorithm with its extra."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from shanhe.compute.api import card, default_cache
from shanhe.compute.scene_child import application, unpacked
from shanhe.kernel.errors import Invalid

FONT = Path("/usr/share/fonts/opentype/noto/NotoSerifCJK-Bold.ttc")


class Echo:
    """Says what it was asked."""

    path = "/ocr"

    def run(self, asked: dict[str, Any]) -> Any:
        if "refuse" in asked:
            raise Invalid("bad_picture", "No picture.", message_zh="无图片。")
        if "sound" in asked:
            return b"RIFF", "audio/wav"
        return {"asked": {name: value if isinstance(value, str) else len(value) for name, value in asked.items()}}


def client(algorithm: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(application(algorithm, "m", 2))
    return httpx.AsyncClient(transport=transport, base_url="http://engine")


class TestChild:
    async def test_answers_json_forms_and_sounds(self) -> None:
        async with client(Echo()) as http:
            assert (await http.get("/health")).status_code == 200
            assert (await http.get("/v1/models")).json()["data"][0]["id"] == "m"
            assert (await http.post("/v1/ocr", json={"image": "x"})).json() == {"asked": {"image": "x"}}
            form = await http.post("/v1/ocr", data={"model": "m"}, files={"file": ("a.wav", b"1234")})
            assert form.json() == {"asked": {"model": "m", "file": 4}}
            sound = await http.post("/v1/ocr", json={"sound": "x"})
            assert (sound.content, sound.headers["content-type"]) == (b"RIFF", "audio/wav")

    @pytest.mark.parametrize("body", [b"{", b"[1]", b'{"refuse": "x"}', b"\xff"])
    async def test_refuses_what_it_can_not_read(self, body: bytes) -> None:
        async with client(Echo()) as http:
            answer = await http.post("/v1/ocr", content=body)
            assert answer.status_code == 400
            assert answer.json()["error"]["message"]

    def test_takes_apart_the_one_file_of_a_model(self, tmp_path: Path) -> None:
        (tmp_path / "one.bin").write_bytes(b"abcde")
        folder = tmp_path / "open"
        folder.mkdir()
        unpacked(tmp_path / "one.bin", "a.json=2,b.bin=3", folder)
        assert [(folder / name).read_bytes() for name in ("a.json", "b.bin")] == [b"ab", b"cde"]
        with pytest.raises(ValueError, match="too short"):
            unpacked(tmp_path / "one.bin", "a.json=2,b.bin=4", folder)


class TestForecaster:
    def test_follows_trend_and_season_with_intervals_that_hold_the_truth(self) -> None:
        pytest.importorskip("statsforecast", reason="needs the extra `scenes`")
        from shanhe.compute.scenes.forecast import Forecaster

        def truth(at: int) -> float:
            return 100 + 0.5 * at + 10 * math.sin(2 * math.pi * at / 12) + ((at * 7919) % 11 - 5) * 0.2

        series = [truth(at) for at in range(120)]
        asked = {"series": [series, [5.0], [3.0] * 20], "horizon": 12, "season_length": 12, "levels": [95]}
        found = Forecaster().run(asked)["forecasts"]
        real = [truth(at) for at in range(120, 132)]
        span = found[0]["intervals"]["95"]
        inside = sum(low <= value <= high for low, value, high in zip(span["low"], real, span["high"], strict=True))
        assert inside >= 10
        assert sum(abs(a - b) for a, b in zip(found[0]["mean"], real, strict=True)) / 12 < 2
        assert found[1]["mean"] == [5.0] * 12
        assert found[2]["intervals"]["95"]["low"] == [3.0] * 12


class TestReader:
    @pytest.mark.prove
    def test_reads_a_card_that_it_is_shown(self) -> None:
        pytest.importorskip("rapidocr", reason="needs the extra `scenes`")
        if not FONT.exists():
            pytest.skip("needs a font with Chinese signs")
        from PIL import Image, ImageDraw, ImageFont

        from shanhe.compute.scenes.ocr import Reader

        image = Image.new("RGB", (860, 540), "#eef4f8")
        draw, font = ImageDraw.Draw(image), ImageFont.truetype(str(FONT), 32)
        for top, text in ((50, "姓名  李山河"), (120, "性别 女    民族 汉"), (450, "公民身份号码  11010519491231002X")):
            draw.text((40, top), text, font=font, fill="#111")
        data = io.BytesIO()
        image.save(data, "PNG")
        found = Reader(1).run({"image": base64.b64encode(data.getvalue()).decode(), "fields": "id_card"})
        assert found["fields"]["number"] == "11010519491231002X"
        assert found["fields"]["name"] == "李山河"
        with pytest.raises(Invalid):
            Reader(1).run({"image": base64.b64encode(b"\x89PNG no").decode()})


class TestVoice:
    @pytest.mark.prove
    def test_is_understood_by_the_one_that_listens(self, tmp_path: Path) -> None:
        pytest.importorskip("misaki", reason="needs the extra `scenes`")
        for name in ("kokoro-82m", "whisper-base"):
            if not (default_cache() / card(name).file).exists():
                pytest.skip("needs the models' files")
        from shanhe.compute.scenes.hearing import Listener
        from shanhe.compute.scenes.speaking import Speaker

        sound, media = Speaker(opened("kokoro-82m", tmp_path), 1).run({"input": "水库水位持续上涨，请注意安全。"})
        assert media == "audio/wav"
        heard = Listener(opened("whisper-base", tmp_path), 1).run({"file": sound, "language": "zh"})
        assert "持续上涨" in heard["text"]
        assert "安全" in heard["text"]
        assert heard["usage"]["seconds"] == pytest.approx(len(sound) / 48_000, abs=0.1)


def opened(name: str, folder: Path) -> Path:
    known = card(name)
    target = folder / name
    target.mkdir()
    layout = ",".join(f"{file}={size}" for file, size in known.layout.items())
    return unpacked(default_cache() / known.file, layout, target)


class TestProcess:
    @pytest.mark.prove
    @pytest.mark.parametrize(
        ("model", "module"), [("ets-forecast", "statsforecast"), ("whisper-base", "faster_whisper")]
    )
    async def test_serves_its_card_on_its_socket(self, model: str, module: str, tmp_path: Path) -> None:
        pytest.importorskip(module, reason="needs the extra `scenes`")
        known = card(model)
        if known.file and not (default_cache() / known.file).exists():
            pytest.skip("needs the model's file")
        from shanhe.compute.runner import ModelRunner

        runner = ModelRunner(known, default_cache() / known.file, tmp_path, threads=1)
        await runner.start()
        try:
            transport = httpx.AsyncHTTPTransport(uds=str(runner.socket))
            async with httpx.AsyncClient(transport=transport, timeout=120) as http:
                if model == "ets-forecast":
                    asked = {"series": [[1.0, 2.0, 3.0]], "horizon": 1}
                    answer = await http.post("http://engine/v1/forecast", json=asked)
                    assert answer.json()["forecasts"][0]["mean"] == [2.0]
                else:
                    sound = await asyncio.to_thread(spoken, tmp_path)
                    url, files = "http://engine/v1/audio/transcriptions", {"file": ("a.wav", sound)}
                    answer = await http.post(url, data={"language": "en"}, files=files)
                    assert answer.json()["usage"]["seconds"] > 0.5, json.dumps(answer.json())
        finally:
            await runner.stop()


def spoken(folder: Path) -> bytes:
    """A sound: a second of a tone, or words where a voice is at hand."""
    import subprocess
    import wave

    path = folder / "a.wav"
    if shutil.which("espeak-ng"):
        subprocess.run(["espeak-ng", "-w", str(path), "Hello world, one two three."], check=True, timeout=20)
        return path.read_bytes()
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"".join(
            int(8_000 * math.sin(at / 16_000 * 440 * math.tau)).to_bytes(2, sys.byteorder, signed=True)
            for at in range(16_000)
        ))  # fmt: skip
    return path.read_bytes()

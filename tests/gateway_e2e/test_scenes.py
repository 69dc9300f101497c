"""The city's own algorithms through the whole path: started with their first request, priced, posted, receipted."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import httpx
import pytest

from shanhe.bench.city import running_city
from shanhe.compute.api import card, default_cache

FONT = Path("/usr/share/fonts/opentype/noto/NotoSerifCJK-Bold.ttc")
MODELS = ("pp-ocr", "ets-forecast", "kokoro-82m", "whisper-base", "multilingual-e5-small")
TEXT = "水库水位持续上涨，请注意安全。"


def picture() -> str:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (560, 112), "white")
    ImageDraw.Draw(image).text((20, 30), "公民身份号码 11010519491231002X", "black", ImageFont.truetype(str(FONT), 30))
    data = io.BytesIO()
    image.save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


@pytest.mark.prove
class TestScenes:
    def test_are_served_and_paid_for_like_any_call(self, tmp_path: Path) -> None:
        for module in ("rapidocr", "statsforecast", "faster_whisper", "misaki"):
            pytest.importorskip(module, reason="needs the extra `scenes`")
        files = [default_cache() / card(name).file for name in (*MODELS, "qwen2.5-coder-0.5b-instruct")]
        if not FONT.exists() or not all(path.exists() for path in files):
            pytest.skip("needs the models' files and a font with Chinese signs")
        with running_city(tmp_path / "city", with_model=True) as city:
            org = city.command("orgs", "create", "scenes")["id"]
            city.command("credits", "top-up", org, "100")
            key = city.command("keys", "create", "--org", org, "--name", "k", "--permission", "receipts")["token"]
            with httpx.Client(base_url=city.url, headers={"authorization": f"Bearer {key}"}, timeout=200) as http:
                answers = called(http)
                receipts = [http.get(f"/api/receipts/{one.headers['x-shanhe-receipt']}").json() for one in answers]
            balance = city.command("credits", "balance", org)["balance_micro"]
            assert city.command("ledger", "verify")["clean"]
        ranked, read, foretold, spoken, heard = answers
        assert ranked.json()["results"][0]["index"] == 1
        assert read.json()["fields"]["number"] == "11010519491231002X"
        assert len(foretold.json()["forecasts"][0]["mean"]) == 3
        assert spoken.content[:4] == b"RIFF"
        assert "上涨" in heard.json()["text"]
        assert all(receipt["amount_micro"] > 0 for receipt in receipts)
        assert [receipt["evidence"]["usage_source"] for receipt in receipts[1:4]] == ["request"] * 3
        assert receipts[1]["evidence"]["buckets"]["input"] == 80
        assert [receipt["unit"] for receipt in receipts] == ["token", "tile", "number", "sign", "tick"]
        assert all("P11_scenes" in {rule["id"] for rule in receipt["rules"]} for receipt in receipts[1:])
        assert balance == 100_000_000 - sum(receipt["amount_micro"] for receipt in receipts)


def called(http: httpx.Client) -> list[httpx.Response]:
    """Each algorithm once; the last hears what the one before it said."""
    asked: list[tuple[str, dict[str, Any]]] = [
        ("/v1/rerank", {"model": MODELS[-1], "query": "水库水位", "documents": ["古镇灯会", "汛期水库调度"]}),
        ("/v1/ocr", {"model": "pp-ocr", "image": picture(), "fields": "id_card"}),
        ("/v1/forecast", {"model": "ets-forecast", "series": [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]], "horizon": 3}),
        ("/v1/audio/speech", {"model": "kokoro-82m", "input": TEXT}),
    ]
    answers = []
    for path, body in asked:
        answers.append(http.post(path, json=body))
        assert answers[-1].status_code == 200, (path, answers[-1].text)
    files = {"file": ("a.wav", answers[-1].content)}
    answers.append(http.post("/v1/audio/transcriptions", data={"model": "whisper-base", "language": "zh"}, files=files))
    assert answers[-1].status_code == 200, answers[-1].text
    return answers

"""The README's first call: the openai package, the embedded model, and a receipt that is the charge."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from shanhe.bench.city import running_city

MODEL = "qwen2.5-coder-0.5b-instruct"


@pytest.mark.model
class TestFirstCall:
    def test_streams_from_the_real_model_and_is_charged_by_its_usage(self, tmp_path: Path) -> None:
        from openai import OpenAI

        with running_city(tmp_path / "city", with_model=True) as city:
            demo = city.demo()
            client = OpenAI(base_url=f"{demo['SHANHE_URL']}/v1", api_key=demo["SHANHE_API_KEY"], timeout=90)
            raw = client.chat.completions.with_raw_response.create(
                model=MODEL, max_tokens=12, stream=True, stream_options={"include_usage": True},
                messages=[{"role": "user", "content": "用一句话介绍人工智能"}],
            )  # fmt: skip
            chunks = list(raw.parse())
            headers = {"authorization": f"Bearer {demo['SHANHE_API_KEY']}"}
            url = f"{demo['SHANHE_URL']}/api/receipts/{raw.headers['x-shanhe-receipt']}"
            receipt = httpx.get(url, headers=headers, trust_env=False).json()
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        usage = chunks[-1].usage
        assert usage is not None
        assert receipt["evidence"]["usage_source"] == "engine"
        assert sum(receipt["evidence"]["buckets"].values()) == usage.total_tokens
        assert sum(transfer["amount"] for transfer in receipt["transfers"]) == receipt["amount_micro"] > 0

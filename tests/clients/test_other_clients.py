"""llm, LangChain and the compliance checker llm-comply, unmodified, against the running server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr

from stage.fixtures import Stage, Tenant

BIN = Path(sys.executable).parent
TIMEOUT_S = 90


class TestLlm:
    def test_prompts_a_model_from_its_extra_models_file(self, stage: Stage, tenant: Tenant, tmp_path: Path) -> None:
        extra = f"- model_id: shanhe\n  model_name: good\n  api_base: {stage.url}/v1\n  api_key_name: shanhe\n"
        (tmp_path / "extra-openai-models.yaml").write_text(extra, encoding="utf-8")
        (tmp_path / "keys.json").write_text(json.dumps({"shanhe": tenant.token}), encoding="utf-8")
        command = ["/usr/bin/env", f"LLM_USER_PATH={tmp_path}", str(BIN / "llm"), "-m", "shanhe"]
        for flags in ([], ["--no-stream"]):
            done = subprocess.run(
                [*command, *flags, "Say hello."], capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert done.stdout.strip() == "Hello there, friend of the city."


class Place(BaseModel):
    """A place."""

    name: str
    people: int


class TestLangchain:
    @pytest.fixture
    def model(self, stage: Stage, tenant: Tenant) -> ChatOpenAI:
        return ChatOpenAI(base_url=f"{stage.url}/v1", api_key=SecretStr(tenant.token), model="good", max_retries=0)

    def test_invokes_and_reads_usage(self, model: ChatOpenAI) -> None:
        answer = model.invoke("Say hello.")
        assert answer.content == "Hello there, friend of the city."
        assert answer.usage_metadata is not None
        assert answer.usage_metadata["total_tokens"] == 28

    def test_streams(self, model: ChatOpenAI) -> None:
        assert "".join(str(chunk.content) for chunk in model.stream("Say hello.")) == "Hello there, friend of the city."

    def test_binds_tools_and_structures_output(self, model: ChatOpenAI) -> None:
        @tool
        def get_weather(city: str) -> str:
            """Weather of a city."""
            return city

        answer: Any = model.bind_tools([get_weather]).invoke("Weather?")
        assert answer.tool_calls[0]["args"] == {"city": "Shanhe"}
        assert model.with_structured_output(Place).invoke("Where?") == Place(name="Shanhe", people=7)


class TestEmbeddings:
    def test_is_refused_by_a_chat_model_with_a_typed_error(self, stage: Stage, tenant: Tenant) -> None:
        import openai

        embeddings = OpenAIEmbeddings(
            base_url=f"{stage.url}/v1", api_key=SecretStr(tenant.token), model="good", check_embedding_ctx_length=False
        )
        with pytest.raises(openai.BadRequestError):
            embeddings.embed_query("hello")


class TestCompliance:
    """The checker's own verdict for each protocol we speak."""

    @pytest.mark.parametrize(
        ("form", "passing", "flags"),
        [
            ("openai-chat", 8, []),
            ("anthropic", 8, ["--auth-header", "x-api-key", "--no-bearer", "-H", "anthropic-version:2023-06-01"]),
            ("open-responses", 12, []),
        ],
    )
    def test_llm_comply_passes(self, stage: Stage, tenant: Tenant, form: str, passing: int, flags: list[str]) -> None:
        base = ["-u", f"{stage.url}/v1", "-k", tenant.token, "-m", "good", "--format", form, "--json", *flags]
        done = subprocess.run(
            [str(BIN / "llm-comply"), *base], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        report = json.loads(done.stdout)
        failed = [row for row in report["results"] if row["status"] == "failed"]
        assert failed == []
        assert report["summary"]["passed"] == passing

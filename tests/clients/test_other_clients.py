"""llm, LangChain and the compliance checker llm-comply, unmodified, against the running server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, SecretStr

from stage.fixtures import Stage, Tenant
from stage.later import Later

if TYPE_CHECKING:
    from langchain_openai import ChatOpenAI

langchain_openai: Any = Later("langchain_openai")

BIN = Path(sys.executable).parent
TIMEOUT_S = 90
PROMPTS = """
from llm.cli import cli
for flags in ([], ["--no-stream"]):
    cli.main(["-m", "shanhe", *flags, "Say hello."], standalone_mode=False)
"""
"""The command `llm`, twice in one process: starting it is most of what it does."""


@pytest.mark.prove
class TestLlm:
    def test_prompts_a_model_from_its_extra_models_file(self, stage: Stage, tenant: Tenant, tmp_path: Path) -> None:
        extra = f"- model_id: shanhe\n  model_name: good\n  api_base: {stage.url}/v1\n  api_key_name: shanhe\n"
        (tmp_path / "extra-openai-models.yaml").write_text(extra, encoding="utf-8")
        (tmp_path / "keys.json").write_text(json.dumps({"shanhe": tenant.token}), encoding="utf-8")
        done = subprocess.run(
            ["/usr/bin/env", f"LLM_USER_PATH={tmp_path}", sys.executable, "-c", PROMPTS],
            capture_output=True, text=True, timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == ["Hello there, friend of the city."] * 2


class Place(BaseModel):
    """A place."""

    name: str
    people: int


class TestLangchain:
    @pytest.fixture
    def model(self, stage: Stage, tenant: Tenant) -> ChatOpenAI:
        key = SecretStr(tenant.token)
        return langchain_openai.ChatOpenAI(base_url=f"{stage.url}/v1", api_key=key, model="good", max_retries=0)

    def test_invokes_and_reads_usage(self, model: ChatOpenAI) -> None:
        answer = model.invoke("Say hello.")
        assert answer.content == "Hello there, friend of the city."
        assert answer.usage_metadata is not None
        assert answer.usage_metadata["total_tokens"] == 28

    def test_streams(self, model: ChatOpenAI) -> None:
        assert "".join(str(chunk.content) for chunk in model.stream("Say hello.")) == "Hello there, friend of the city."

    def test_binds_tools_and_structures_output(self, model: ChatOpenAI) -> None:
        from langchain_core.tools import tool

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

        embeddings = langchain_openai.OpenAIEmbeddings(
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

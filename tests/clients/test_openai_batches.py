"""Files and batches through the openai package, unmodified, against the running server."""

from __future__ import annotations

import io
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from stage.fixtures import Stage, Tenant, chat
from stage.later import Later

if TYPE_CHECKING:
    from openai import OpenAI

openai: Any = Later("openai")
CHAT: Any = "/v1/chat/completions"
DONE_WITHIN_S = 60.0
LONG = 400  # requests, which take seconds on the fastest machine: a cancellation comes before their end


@pytest.fixture(scope="module")
def payer(stage: Stage) -> Tenant:
    return stage.tenant("Night shift", rpm=1)


@pytest.fixture(scope="module")
def client(stage: Stage, payer: Tenant) -> OpenAI:
    return openai.OpenAI(base_url=f"{stage.url}/v1", api_key=payer.token, max_retries=0, timeout=30)


def upload(client: OpenAI, *bodies: dict[str, Any]) -> Any:
    rows = [{"custom_id": f"c{at}", "method": "POST", "url": CHAT, "body": body} for at, body in enumerate(bodies)]
    data = "\n".join(json.dumps(row) for row in rows).encode()
    return client.files.create(file=("requests.jsonl", io.BytesIO(data)), purpose="batch")


def ended(client: OpenAI, batch_id: str) -> Any:
    until = time.monotonic() + DONE_WITHIN_S
    while time.monotonic() < until:
        batch = client.batches.retrieve(batch_id)
        if batch.status in ("completed", "failed", "cancelled", "expired"):
            return batch
        time.sleep(0.3)
    raise AssertionError(client.batches.retrieve(batch_id))


class TestBatches:
    def test_answer_file_by_file_at_the_price_for_that(self, client: OpenAI, stage: Stage, payer: Tenant) -> None:
        before = stage.balance_micro(payer)
        file = upload(client, chat(), chat(), chat(), chat(messages=[]))
        assert (file.purpose, file.filename, file.status) == ("batch", "requests.jsonl", "processed")
        made = client.batches.create(
            input_file_id=file.id, endpoint=CHAT, completion_window="24h", metadata={"shift": "night"}
        )
        batch = ended(client, made.id)
        assert (batch.status, batch.metadata) == ("completed", {"shift": "night"})
        counts = batch.request_counts
        assert (counts.total, counts.completed, counts.failed) == (4, 3, 1)
        good = [json.loads(row) for row in client.files.content(batch.output_file_id).text.splitlines()]
        assert [row["custom_id"] for row in good] == ["c0", "c1", "c2"]
        assert good[0]["response"]["body"]["choices"][0]["message"]["content"] == "Hello there, friend of the city."
        (bad,) = [json.loads(row) for row in client.files.content(batch.error_file_id).text.splitlines()]
        assert (bad["custom_id"], bad["response"]["status_code"]) == ("c3", 400)
        self._receipts(stage, payer, good, before)

    def _receipts(self, stage: Stage, payer: Tenant, good: list[Any], before: int) -> None:
        receipts = [stage.receipt(payer, row["response"]["request_id"]) for row in good]
        assert len({one["id"] for one in receipts}) == 3
        assert before - stage.balance_micro(payer) == sum(one["amount_micro"] for one in receipts)
        assert "P11_batch" in {rule["id"] for rule in receipts[0]["rules"]}
        with stage.client(payer) as http:
            answer = http.post(
                "/v1/chat/completions", json=chat()
            )  # rates hold for people; this is the first such call
            assert answer.status_code == 200
        listed = stage.receipt(payer, answer.headers["x-shanhe-receipt"])["evidence"]["prices"]
        waiting = receipts[0]["evidence"]["prices"]
        assert all(waiting[bucket] <= listed[bucket] for bucket in ("input", "cached_input", "output"))
        assert waiting["output"] < listed["output"]

    def test_are_listed_page_by_page(self, client: OpenAI) -> None:
        file = upload(client, chat())
        made = {
            client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h").id for _ in range(3)
        }
        assert made <= {one.id for one in client.batches.list(limit=2)}
        assert file.id in {one.id for one in client.files.list(limit=1, purpose="batch")}
        for name in made:
            ended(client, name)

    def test_are_cancelled(self, client: OpenAI) -> None:
        file = upload(client, *[chat("slow") for _ in range(LONG)])
        made = client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
        assert client.batches.cancel(made.id).status == "cancelling"
        batch = ended(client, made.id)
        assert batch.status == "cancelled"
        assert batch.request_counts.completed + batch.request_counts.failed == LONG

    def test_with_a_bad_file_say_which_line(self, client: OpenAI) -> None:
        file = upload(client, chat(), chat("no-such-model"))
        batch = client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
        assert batch.status == "failed"
        assert batch.errors is not None
        assert batch.errors.data is not None
        assert [(one.code, one.line) for one in batch.errors.data] == [("model_not_found", 2)]


class TestFiles:
    def test_are_read_back_and_deleted(self, client: OpenAI) -> None:
        file = client.files.create(file=("n.txt", b"abc"), purpose="user_data")
        assert client.files.content(file.id).read() == b"abc"
        assert client.files.retrieve(file.id).bytes == 3
        assert client.files.delete(file.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(file.id)

    def test_last_as_long_as_asked(self, client: OpenAI) -> None:
        file = client.files.create(
            file=("n.txt", b"abc"), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
        )
        assert file.expires_at == file.created_at + 3600

    @pytest.mark.parametrize(
        ("files", "data"),
        [
            ({"file": ("a", b"x")}, {"purpose": "no-such"}),
            ({"file": ("a", b"")}, {"purpose": "batch"}),
            ({"other": ("a", b"x")}, {"purpose": "batch"}),
        ],
    )
    def test_that_are_none_are_refused(self, stage: Stage, payer: Tenant, files: Any, data: Any) -> None:
        with stage.client(payer) as http:
            answer = http.post("/v1/files", files=files, data=data)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_file")

    def test_of_others_are_not_there(self, stage: Stage, client: OpenAI) -> None:
        file = client.files.create(file=("n.txt", b"abc"), purpose="user_data")
        stranger = stage.tenant("Stranger", credits="0")
        other = openai.OpenAI(base_url=f"{stage.url}/v1", api_key=stranger.token, max_retries=0)
        with pytest.raises(openai.NotFoundError):
            other.files.content(file.id)

    def test_need_a_key(self, stage: Stage) -> None:
        nobody = openai.OpenAI(base_url=f"{stage.url}/v1", api_key="sk-sh-nobody", max_retries=0)
        with pytest.raises(openai.AuthenticationError):
            nobody.files.list()

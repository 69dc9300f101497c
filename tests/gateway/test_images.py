"""Pictures, asked for with OpenAI's own client: held as asked, charged as delivered, whatever an engine sends."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import pytest
import pytest_asyncio

from shanhe.gateway import pipeline, wire
from shanhe.gateway.faces.forms import form_fields
from shanhe.gateway.faces.images import POINTS_MAX
from shanhe.kernel.ids import new_id
from shanhe.kernel.labelled_pictures import label_in
from shanhe.kernel.labelling import Labels, check_picture
from stage.later import Later

from .conftest import CONTEXT, TOKEN, Desk, Prices, target_for
from .engine import Script, raw
from .test_scenes import FUNDS, png, says

if TYPE_CHECKING:
    from openai import AsyncOpenAI

openai: Any = Later("openai")
pytestmark = pytest.mark.asyncio(loop_scope="module")
EACH: Final = 230_000
"""µ a picture."""
IMAGE: Final = png(2, 2)
LABELS: Final = Labels(b"k" * 32, "山河市", "本内容由人工智能生成（{by}），编号 {id}")
TOKENS: Final = {
    "input_tokens": 40, "output_tokens": 1_056, "total_tokens": 1_096,
    "input_tokens_details": {"text_tokens": 40, "image_tokens": 0},
}  # fmt: skip


def made(*pictures: str, **more: Any) -> Script:
    return says({"created": 1, "data": [{"b64_json": one} for one in pictures], **more})


def sell(desk: Desk, price_class: str = "image", *features: str) -> None:
    """Let the engines make pictures, priced by the picture or by tokens."""
    desk.engines.kind, desk.engines.price_class = "image", price_class
    desk.engines.prices_now = Prices(output=EACH * 1_000_000) if price_class == "image" else Prices()
    desk.engines.price_revision += 1
    desk.engines.targets = tuple(
        target_for(engine, name, contributor=new_id(), idle_ms=300, price_class=price_class,
                   features=frozenset(features))
        for engine, name in ((desk.engine, "first"), (desk.second, "second"))
    )  # fmt: skip
    desk.engine.default = desk.second.default = made(IMAGE)


@pytest_asyncio.fixture(loop_scope="module")
async def client(desk: Desk) -> AsyncIterator[AsyncOpenAI]:
    sell(desk)
    desk.gateway.label(lambda number, media, picture: (picture, {}))
    async with openai.AsyncOpenAI(
        base_url=f"http://127.0.0.1:{desk.port}/v1", api_key=TOKEN, max_retries=0, timeout=20
    ) as found:
        yield found


async def held(desk: Desk) -> int:
    wallet = await desk.ledger.ensure_account(desk.org, "credit", "wallet")  # type: ignore[arg-type]
    return (await desk.ledger.balance(wallet.id)).held


async def receipt(desk: Desk, raw_answer: Any) -> Any:
    """The receipt of an answer, which has to say what was paid, and to whom it went."""
    found = await desk.gateway.receipt(UUID(raw_answer.headers["x-shanhe-receipt"]), desk.org)
    assert FUNDS - await desk.balance() == found.amount_micro == found.evidence.total_micro
    assert sum(share.amount_micro for share in found.evidence.shares) == found.amount_micro
    assert sum(transfer["amount"] for transfer in found.transfers) == found.amount_micro
    return found


class TestGeneration:
    async def test_comes_as_base64_and_is_charged_by_the_picture(self, desk: Desk, client: AsyncOpenAI) -> None:
        desk.engine.scripts = [made(IMAGE, size="1024x1024", quality=["x"], output_format="png", background="x" * 99)]
        answer = await client.images.with_raw_response.generate(model="syn", prompt="水库的清晨", size="1024x1024")
        pictures = answer.parse()
        assert base64.b64decode(pictures.data[0].b64_json) == base64.b64decode(IMAGE)
        assert (pictures.created, pictures.size, pictures.output_format, pictures.usage) == (
            1,
            "1024x1024",
            "png",
            None,
        )
        asked = {"model": "syn", "prompt": "水库的清晨", "n": 1, "size": "1024x1024", "response_format": "b64_json"}
        assert desk.engine.requests == [asked]
        found = await receipt(desk, answer)
        assert (found.unit, found.evidence.usage_source, found.amount_micro) == ("picture", "answer", EACH)
        assert [(line.bucket, line.tokens) for line in found.lines] == [("output", 1)]
        assert {"P11_scenes", "P11_call_charge"} <= {rule.id for rule in found.rules}

    async def test_of_several_is_held_and_charged_for_each(self, desk: Desk, client: AsyncOpenAI) -> None:
        desk.engine.scripts = [made(*[IMAGE] * 3)]
        answer = await client.images.with_raw_response.generate(model="syn", prompt="水库", n=3)
        assert len(answer.parse().data) == 3
        found = await receipt(desk, answer)
        assert (found.evidence.held_micro, found.amount_micro) == (3 * EACH, 3 * EACH)

    @pytest.mark.parametrize(("came", "charged", "cut"), [(1, 1, False), (2, 2, False), (5, 2, True)])
    async def test_of_another_number_is_charged_for_what_came_of_what_was_asked(
        self, desk: Desk, client: AsyncOpenAI, came: int, charged: int, cut: bool
    ) -> None:
        desk.engine.scripts = [made(*[IMAGE] * came, usage={"input_tokens": 9**9, "output_tokens": 9**9})]
        answer = await client.images.with_raw_response.generate(model="syn", prompt="水库", n=2)
        assert len(answer.parse().data) == charged
        found = await receipt(desk, answer)
        assert (found.amount_micro, found.evidence.held_micro) == (charged * EACH, 2 * EACH)
        assert found.evidence.usage_clamped is cut

    @pytest.mark.parametrize(
        "body",
        [{"data": []}, {"data": None}, {}, [], {"data": [{"url": "http://169.254.169.254/latest/meta-data"}]},
         {"data": [{"b64_json": "%%%"}]}, {"data": [{"b64_json": base64.b64encode(b"<svg onload=x>").decode()}]},
         {"data": [{"b64_json": 7}]}, {"data": ["x"]}, {"error": {"message": "no GPU"}},
         {"data": [{"b64_json": IMAGE[:60]}]}, {"data": [{"b64_json": IMAGE}, *[{}] * 5_000]}],
    )  # fmt: skip
    async def test_that_holds_no_picture_has_failed_and_costs_nothing(
        self, desk: Desk, client: AsyncOpenAI, body: Any
    ) -> None:
        desk.gateway.label(LABELS.media)
        desk.engine.default = desk.second.default = says(body)
        with pytest.raises(openai.InternalServerError) as told:
            await client.images.generate(model="syn", prompt="水库")
        assert "169.254" not in str(told.value)
        await desk.idle()
        assert (await desk.balance(), await held(desk)) == (FUNDS, 0)
        assert [len(one.requests) for one in (desk.engine, desk.second)] == [1, 1]

    async def test_is_made_elsewhere_where_an_engine_fails(self, desk: Desk, client: AsyncOpenAI) -> None:
        desk.engine.default, desk.second.default = raw(500, b"{}"), made(IMAGE)
        answer = await client.images.with_raw_response.generate(model="syn", prompt="水库")
        assert (await receipt(desk, answer)).evidence.engine == "second"

    async def test_that_an_engine_refuses_is_the_callers(self, desk: Desk, client: AsyncOpenAI) -> None:
        refused = {
            "error": {"message": "Your request was rejected by the safety system.", "code": "moderation_blocked"}
        }
        desk.engine.default = raw(400, json.dumps(refused).encode())
        with pytest.raises(openai.BadRequestError, match="safety system"):
            await client.images.generate(model="syn", prompt="水库")
        assert (await desk.balance(), desk.second.requests) == (FUNDS, [])

    async def test_is_asked_for_without_its_format_where_that_is_refused(self, desk: Desk, client: AsyncOpenAI) -> None:
        desk.engines.targets = desk.engines.targets[:1]
        unknown = raw(400, b'{"error":{"message":"Unknown parameter: \'response_format\'."}}')
        desk.engine.scripts = [unknown, made(IMAGE)]
        for _ in range(2):
            await client.images.generate(model="syn", prompt="水库")
        assert ["response_format" in one for one in desk.engine.requests] == [True, False, False]

    async def test_comes_as_a_data_url_where_one_is_wanted(self, desk: Desk, client: AsyncOpenAI) -> None:
        desk.engine.scripts = [
            says({"data": [{"b64_json": IMAGE, "url": "http://10.0.0.1/", "revised_prompt": "清晨"}]})
        ]
        (picture,) = (await client.images.generate(model="syn", prompt="水库", response_format="url")).data
        assert (picture.url, picture.b64_json) == (f"data:image/png;base64,{IMAGE}", None)
        assert picture.revised_prompt == "清晨"
        assert desk.engine.requests[0]["response_format"] == "b64_json"

    async def test_is_labelled_under_its_receipt(self, desk: Desk, client: AsyncOpenAI) -> None:
        desk.gateway.label(LABELS.media)
        answer = await client.images.with_raw_response.generate(model="syn", prompt="水库")
        picture = base64.b64decode(answer.parse().data[0].b64_json)
        assert label_in(picture)["ProduceID"] == answer.headers["x-shanhe-receipt"]
        assert check_picture(picture, LABELS.public_key).genuine

    async def test_of_a_caller_who_left_is_charged(self, desk: Desk, client: AsyncOpenAI) -> None:
        ready = asyncio.Event()

        async def slow(asked: Any, writer: Any) -> None:
            await ready.wait()
            await made(IMAGE)(asked, writer)

        desk.engine.default = slow
        call = asyncio.create_task(client.images.generate(model="syn", prompt="水库"))
        async with asyncio.timeout(20):
            while not desk.engine.requests:  # noqa: ASYNC110 - nothing tells when it is asked
                await asyncio.sleep(0.005)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        ready.set()
        await desk.idle()
        assert FUNDS - await desk.balance() == EACH


class TestBound:
    async def test_of_the_purse_is_what_was_asked(self, desk: Desk, client: AsyncOpenAI) -> None:
        desk.org = new_id()
        desk.keys.known[TOKEN] = desk.caller()
        await desk.fund(2 * EACH)
        with pytest.raises(openai.APIStatusError) as told:
            await client.images.generate(model="syn", prompt="水库", n=3)
        assert (told.value.status_code, told.value.code) == (402, "insufficient_quota")
        assert desk.engine.requests == []
        desk.engine.scripts = [made(IMAGE, IMAGE)]
        assert len((await client.images.generate(model="syn", prompt="水库", n=2)).data) == 2
        assert await desk.balance() == 0

    @pytest.mark.parametrize(
        ("field", "value", "told"),
        [("prompt", "", "prompt"), ("prompt", "x" * 32_001, "prompt"), ("n", 0, "n"), ("n", 11, "n"),
         ("size", "huge", "size"), ("size", "0x64", "size"), ("size", "8192x8192", "size"), ("stream", True, "stream"),
         ("partial_images", 2, "partial_images"), ("moderation", "low", "moderation"),
         ("output_format", "bmp", "output_format"),
         ("response_format", "file", "response_format")],
    )  # fmt: skip
    async def test_is_told_by_its_field(
        self, desk: Desk, client: AsyncOpenAI, field: str, value: Any, told: str
    ) -> None:
        asked: dict[str, Any] = {"model": "syn", "prompt": "水库", field: value}
        with pytest.raises(openai.BadRequestError) as refused:
            await client.images.generate(**asked)
        assert refused.value.param == told
        assert (desk.engine.requests, await desk.balance()) == ([], FUNDS)

    async def test_of_all_pictures_together_leaves_room_for_the_largest_answer(
        self, desk: Desk, client: AsyncOpenAI
    ) -> None:
        assert 10 * 1024 * 1024 <= POINTS_MAX < 9 * 1536 * 1024
        desk.engine.scripts = [made(*[IMAGE] * 10)]
        await client.images.generate(model="syn", prompt="水库", n=10, size="1024x1024")
        with pytest.raises(openai.BadRequestError, match="at most"):
            await client.images.generate(model="syn", prompt="水库", n=9, size="1536x1024")

    async def test_of_a_picture_is_the_models(self, desk: Desk, client: AsyncOpenAI) -> None:
        with pytest.raises(openai.BadRequestError, match="makes pictures of at most"):
            await client.images.generate(model="syn", prompt="水库", size="2048x2048")

    async def test_of_what_is_read_at_once_keeps_others_waiting(
        self, desk: Desk, client: AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reading, most, go_on, real = 0, 0, threading.Event(), pipeline.drawn

        def counted(*what: Any) -> Any:
            nonlocal reading, most
            reading += 1
            most = max(most, reading)
            go_on.wait(20)
            found = real(*what)
            reading -= 1
            return found

        monkeypatch.setattr(pipeline, "drawn", counted)
        calls = [
            asyncio.create_task(client.images.generate(model="syn", prompt="水库"))
            for _ in range(pipeline.PICTURES_AT_ONCE + 2)
        ]
        async with asyncio.timeout(20):
            while reading < pipeline.PICTURES_AT_ONCE or len(desk.engine.requests) < len(calls):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        for _ in range(10):  # what else would be read has come by then
            await client.models.list()
        go_on.set()
        assert all(len(one.data) == 1 for one in await asyncio.gather(*calls))
        assert most == pipeline.PICTURES_AT_ONCE

    async def test_of_an_answer_is_kept(self, desk: Desk, client: AsyncOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pipeline, "PICTURES_MAX_BYTES", 1_000)
        desk.engine.default = desk.second.default = made("A" * 2_000)
        with pytest.raises(openai.InternalServerError):
            await client.images.generate(model="syn", prompt="水库")
        assert await desk.balance() == FUNDS

    async def test_of_a_readers_patience_ends_a_large_answer(
        self, desk: Desk, client: AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(wire, "SEND_WAIT_S", 0.05)
        monkeypatch.setattr(wire, "SLOWEST_BYTES_PER_S", 10**9)
        desk.engine.default = made(base64.b64encode(base64.b64decode(IMAGE) + b"\0" * 12_000_000).decode())
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.port, limit=2**16)
        body = b'{"model": "syn", "prompt": "a"}'
        writer.write(b"POST /v1/images/generations HTTP/1.1\r\nhost: a\r\nauthorization: Bearer %b\r\n"
                     b"content-length: %d\r\n\r\n%b" % (TOKEN.encode(), len(body), body))  # fmt: skip
        await reader.readuntil(b"\r\n\r\n")
        await desk.idle()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(16_000_000)
        writer.close()
        assert FUNDS - await desk.balance() == EACH


class TestQuality:
    async def test_is_a_feature_where_every_picture_has_one_price(self, desk: Desk, client: AsyncOpenAI) -> None:
        with pytest.raises(openai.BadRequestError, match="picture_quality"):
            await client.images.generate(model="syn", prompt="水库", quality="hd")
        await client.images.generate(model="syn", prompt="水库", quality="auto")
        sell(desk, "image", "picture_quality")
        await client.images.generate(model="syn", prompt="水库", quality="hd")
        assert [one["quality"] for one in desk.engine.requests] == ["auto", "hd"]


class TestTokens:
    """Models whose supplier bills tokens."""

    async def test_are_charged_as_an_engine_counts_them(self, desk: Desk, client: AsyncOpenAI) -> None:
        sell(desk, "image_tokens")
        desk.engine.scripts = [made(IMAGE, usage=TOKENS)]
        answer = await client.images.with_raw_response.generate(model="syn", prompt="水库")
        assert answer.parse().usage.model_dump(exclude_none=True) == TOKENS
        found = await receipt(desk, answer)
        assert (found.unit, found.evidence.usage_source) == ("token", "engine")
        assert found.amount_micro == (40 * 2 + 1_056 * 4)
        assert "P11" in {rule.id for rule in found.rules}

    async def test_are_bounded_by_the_pictures_that_came(self, desk: Desk, client: AsyncOpenAI) -> None:
        sell(desk, "image_tokens")
        desk.engine.scripts = [made(IMAGE, usage={"input_tokens": 10**9, "output_tokens": 10**9})]
        answer = await client.images.with_raw_response.generate(model="syn", prompt="a", n=2)
        found = await receipt(desk, answer)
        assert found.evidence.buckets.output == CONTEXT
        assert found.evidence.usage_clamped
        assert found.amount_micro <= found.evidence.held_micro

    @pytest.mark.parametrize(
        "usage", [None, {}, {"input_tokens": 4}, {"input_tokens": -1, "output_tokens": 9}, {"output_tokens": "x"}, [7],
                  {"input_tokens": 4, "output_tokens": 0}]
    )  # fmt: skip
    async def test_that_nobody_counted_make_no_answer(self, desk: Desk, client: AsyncOpenAI, usage: Any) -> None:
        sell(desk, "image_tokens")
        desk.engine.default = desk.second.default = made(IMAGE, usage=usage)
        with pytest.raises(openai.InternalServerError):
            await client.images.generate(model="syn", prompt="水库")
        assert await desk.balance() == FUNDS


class TestEdit:
    FILE: Final = ("a.png", base64.b64decode(IMAGE), "image/png")

    @pytest_asyncio.fixture(loop_scope="module")
    async def forms(self, desk: Desk, client: AsyncOpenAI) -> AsyncIterator[list[list[tuple[str, str, bytes]]]]:
        sell(desk, "image", "picture_edits")
        seen: list[list[tuple[str, str, bytes]]] = []
        desk.engine.decode = lambda body: seen.append(list(form_fields(body)))
        yield seen

    async def test_takes_pictures_along_as_a_form(self, desk: Desk, client: AsyncOpenAI, forms: Any) -> None:
        tags = {"metadata": {"tags": "edit"}}
        answer = await client.images.with_raw_response.edit(
            model="syn",
            prompt="更亮",
            image=[self.FILE, self.FILE],
            mask=self.FILE,
            n=1,
            size="512x512",
            extra_body=tags,
        )
        assert base64.b64decode(answer.parse().data[0].b64_json) == self.FILE[1]
        (form,) = forms
        assert [(field, data) for field, name, data in form if name] == [
            ("image[]", self.FILE[1]), ("image[]", self.FILE[1]), ("mask", self.FILE[1]),
        ]  # fmt: skip
        assert {field: data for field, name, data in form if not name} == {
            "model": b"syn", "prompt": "更亮".encode(), "n": b"1", "size": b"512x512", "response_format": b"b64_json",
        }  # fmt: skip
        assert b"content-type: multipart/form-data" in desk.engine.heads[0]
        found = await receipt(desk, answer)
        assert (found.unit, found.amount_micro, found.tags) == ("picture", EACH, ("edit",))

    async def test_of_one_picture_is_the_same(self, desk: Desk, client: AsyncOpenAI, forms: Any) -> None:
        await client.images.edit(model="syn", prompt="更亮", image=self.FILE)
        assert [field for field, name, _ in forms[0] if name] == ["image"]

    async def test_is_refused_where_no_engine_does_it(self, desk: Desk, client: AsyncOpenAI) -> None:
        with pytest.raises(openai.BadRequestError, match="picture_edits"):
            await client.images.edit(model="syn", prompt="更亮", image=self.FILE)
        assert (desk.engine.requests, await desk.balance()) == ([], FUNDS)

    @pytest.mark.parametrize(
        ("changes", "told"),
        [({"image": ("a.txt", b"no picture")}, "image"), ({"n": 11}, "n"), ({"stream": True}, "stream"),
         ({"mask": ("a.svg", b"<svg/>")}, "mask"), ({"output_compression": "x"}, "output_compression"),
         ({"image": [("a.png", base64.b64decode(IMAGE))] * 17}, "image")],
    )  # fmt: skip
    async def test_is_refused_by_its_field(
        self, desk: Desk, client: AsyncOpenAI, forms: Any, changes: dict[str, Any], told: str
    ) -> None:
        asked: dict[str, Any] = {"model": "syn", "prompt": "更亮", "image": self.FILE, **changes}
        with pytest.raises(openai.BadRequestError) as refused:
            await client.images.edit(**asked)
        assert (refused.value.param, forms) == (told, [])


class TestDataClass:
    async def test_of_a_government_key_stays_on_local_engines(self, desk: Desk, client: AsyncOpenAI) -> None:
        desk.keys.known[TOKEN] = desk.caller(data_class="government")
        with pytest.raises(openai.APIStatusError, match="government"):
            await client.images.generate(model="syn", prompt="水库")
        assert (desk.engine.requests, desk.second.requests, await desk.balance()) == ([], [], FUNDS)


async def test_kind_is_what_the_model_list_says(desk: Desk, client: AsyncOpenAI) -> None:
    (model,) = (await client.models.list()).data
    assert model.model_dump()["kind"] == "image"
    with pytest.raises(openai.BadRequestError, match="not for chat"):
        await client.chat.completions.create(model="syn", messages=[{"role": "user", "content": "Hi"}])

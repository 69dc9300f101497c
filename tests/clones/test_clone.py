"""A clone answers on its person's consent, and as far as that goes; what it says is labelled."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import wave
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from shanhe import demo
from shanhe.agents.api import BadRequest, definition_of
from shanhe.clones.api import AlreadyAsked, BadMandate, CloneRefused, UnknownMandate, WrongMandateState
from shanhe.compute.api import Kind, NewEngine, Rates
from shanhe.identity.api import ConsentNeedsMore
from shanhe.kernel import labelled_files
from shanhe.kernel.ids import new_id
from shanhe.kernel.labelling import check_text, check_wav
from shanhe.store.api import ChecksFailed
from stage.later import Later
from stage.market import MODEL, Market, says

from .likeness import PERSONA, asked, clone, consent, person

openai: Any = Later("openai")
pytestmark = pytest.mark.asyncio(loop_scope="package")


class TestConsent:
    async def test_is_the_persons_own_and_never_more_than_was_asked(self, market: Market) -> None:
        clones, maker = market.services.clones, await market.party("asks much")
        who, until = await person(market, "careful"), market.services.clock.today() + timedelta(days=9)
        _, code = await clones.ask(maker.org, "clone/careful", ("consultation", "teaching"), until, by="tests")
        notice = clones.notice()["version"]
        given = {"called": "王老师", "wanted": ("consultation",), "until": until, "notice_version": notice}
        for change in (
            {"wanted": ("consultation", "promotion")}, {"until": until + timedelta(days=1)}, {"called": " "},
            {"wanted": ("training",)},
        ):  # fmt: skip
            with pytest.raises(BadMandate):
                await clones.grant(code, who, **{**given, **change})
        with pytest.raises(ConsentNeedsMore):
            await clones.grant(code, who, **{**given, "notice_version": "0"})
        with pytest.raises(UnknownMandate):
            await clones.grant("another", who, **given)
        found = await clones.grant(code, who, **given)
        assert (found.state, found.called, found.purposes) == ("granted", "王老师", ("consultation",))
        assert await clones.grant(code, who, **given) == found
        ledger = [one for one in await market.services.identity.consents.of(who) if one.purpose == "clone_likeness"]
        assert [(one.id, one.apart, one.about) for one in ledger] == [
            (found.consent_id, True, f"clone/careful {found.id}")
        ]
        with pytest.raises(WrongMandateState):
            await clones.grant(code, await person(market, "somebody else"), **given)
        with pytest.raises(UnknownMandate):  # who has the link but is not the person sees nothing of the decision
            await clones.asked(code, await person(market, "curious"))
        with pytest.raises(AlreadyAsked):
            await clones.ask(maker.org, "clone/careful", ("consultation",), until, by="tests")

    async def test_is_needed_before_a_review(self, market: Market) -> None:
        maker, other = await market.party("copies people"), await market.party("has the consent")
        who = await person(market, "copied")
        theirs = await consent(market, other, "clone/copied", who, called="李")
        for mandate in (new_id(), theirs.id):
            with pytest.raises(ChecksFailed, match="consent"):
                content = {**PERSONA, "clone": {"mandate": str(mandate)}}
                await market.listed(maker.org, f"clone/taken-{mandate.hex[-6:]}", content)
        with pytest.raises(ChecksFailed, match="consent"):
            await market.listed(maker.org, "clone/copied", {**PERSONA, "clone": {"mandate": str(theirs.id)}})

    async def test_declined_stays_declined(self, market: Market) -> None:
        clones, maker = market.services.clones, await market.party("is told no")
        until = market.services.clock.today() + timedelta(days=9)
        _, code = await clones.ask(maker.org, "clone/shy", ("consultation",), until, by="tests")
        who = await person(market, "shy")
        assert (await clones.decline(code, who)).state == "declined"
        with pytest.raises(CloneRefused):
            await clones.licensed("clone-shy", maker.org)

    async def test_given_too_late_leaves_no_consent_behind(
        self, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clones, maker = market.services.clones, await market.party("changes its mind")
        until, who = market.services.clock.today() + timedelta(days=9), await person(market, "tardy")
        made, code = await clones.ask(maker.org, "clone/tardy", ("consultation",), until, by="tests")
        open_, notice = await clones.asked(code), clones.notice()["version"]
        await clones.drop(made.id, maker.org)

        async def as_it_was(code: str, by: UUID | None = None) -> object:
            return open_

        monkeypatch.setattr(clones, "asked", as_it_was)
        with pytest.raises(WrongMandateState):
            await clones.grant(code, who, called="王", wanted=("consultation",), until=until, notice_version=notice)
        with pytest.raises(WrongMandateState):
            await clones.decline(code, who)
        given = [one for one in await market.services.identity.consents.of(who) if one.purpose == "clone_likeness"]
        assert [one.withdrawn_at is None for one in given] == [False]


class TestClone:
    async def test_answers_under_a_label_that_anybody_can_check(self, market: Market) -> None:
        maker, payer = await market.party("clone maker"), await market.party("clone payer")
        await clone(market, maker, "teacher", "张老师", fee_micro=1_000)
        market.engine.replies = [says("先看题目，再动笔。")]
        before = await market.wallet(payer.org)
        answer = await asked(market, payer, "clone/teacher", "怎么写作文？")
        assert answer.status_code == 200, answer.text
        told = answer.json()
        text = told["choices"][0]["message"]["content"]
        assert text.startswith("先看题目，再动笔。\n\n【AI生成】")
        assert "张老师的数字分身" in text
        assert told["shanhe"]["run_id"] in text
        system = market.engine.requests[-1]["messages"][0]["content"]
        assert "数字分身" in system
        assert system.endswith(PERSONA["instructions"])
        label = told["AIGC"]
        assert (label["Label"], label["ProduceID"]) == ("1", told["shanhe"]["run_id"])
        assert json.loads(base64.b64decode(answer.headers["x-aigc-label"])) == {"AIGC": label}
        key = (await payer.http.get("/api/labels/key")).json()["public_key"]
        found = check_text(text, label, key)
        assert (found.labelled, found.marked, found.genuine) == (True, True, True)
        assert not check_text(text.replace("先", "后"), label, key).genuine
        over_http = await payer.http.post("/api/labels/check", json={"text": text, "label": {"AIGC": label}})
        assert over_http.json()["genuine"]
        wanted = {"text": text, "label": label, "title": "作文", "format": "docx"}
        kept = await payer.http.post("/api/labels/file", json=wanted)
        assert labelled_files.read(kept.content)[1] == label
        refused = await payer.http.post("/api/labels/file", json=wanted | {"text": text + "。"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "label_not_genuine")
        model = told["shanhe"]["paid_micro"]
        assert before - await market.wallet(payer.org) == model
        assert await market.income(maker.org) > 0

    async def test_streams_with_its_label(self, market: Market) -> None:
        maker, payer = await market.party("stream clone maker"), await market.party("stream clone payer")
        await clone(market, maker, "streams", "陈工")
        client = openai.AsyncOpenAI(base_url=f"{market.url}/v1", api_key=payer.token, max_retries=0)
        stream = await client.chat.completions.create(
            model="clone/streams", messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        chunks = [chunk async for chunk in stream]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        label = (chunks[-1].model_extra or {})["AIGC"]
        assert check_text(text, label, market.services.agents.labels.public_key).genuine

    async def test_refuses_what_its_person_did_not_agree_to(self, market: Market) -> None:
        maker, payer = await market.party("limited maker"), await market.party("limited payer")
        who, _ = await clone(market, maker, "limited", "赵总", purposes=("teaching",))
        before = await market.wallet(payer.org)
        for purpose in ("", "promotion"):
            refused = await asked(market, payer, "clone/limited", "Hi", purpose)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "clone_not_permitted")
        assert (await asked(market, payer, "clone/limited", "Hi", "<x>")).status_code == 400
        assert await market.wallet(payer.org) == before
        assert (await asked(market, payer, "clone/limited", "Hi", "teaching")).status_code == 200
        # over A2A as over /v1
        rpc = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": {"parts": [{"text": "Hi"}]}}}
        said = (await payer.http.post("/a2a/clone/limited", json=rpc)).json()
        assert said["error"]["data"]["code"] == "clone_not_permitted"
        rpc["params"] = {"message": {"parts": [{"text": "Hi"}], "metadata": {"purpose": "teaching"}}}
        said = (await payer.http.post("/a2a/clone/limited", json=rpc)).json()
        assert said["result"]["task"]["metadata"]["AIGC"]["Label"] == "1"
        # and from the ledger of consents alone: nothing else has to happen first
        await market.services.identity.consents.withdraw(who, "clone_likeness")
        assert (await asked(market, payer, "clone/limited", "Hi", "teaching")).status_code == 403

    async def test_refuses_after_the_last_day(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        maker, payer = await market.party("late maker"), await market.party("late payer")
        _, found = await clone(market, maker, "late", "钱医生")
        assert found.until is not None
        clones = market.services.clones
        monkeypatch.setattr(clones, "clock", Later(found.until + timedelta(days=1), market.services.clock))
        refused = await asked(market, payer, "clone/late", "Hi")
        assert "ended on" in refused.json()["error"]["message"]
        await clones.tick()
        ended = await clones.of_maker(found.id, maker.org)
        assert ended.state == "expired"
        assert ended.cleared_at is not None

    @pytest.mark.parametrize(
        "change",
        [
            {"clone": None}, {"tools": ["ab/c"]}, {"answer_schema": {"type": "object"}}, {"model": "clone-other"},
            {"alliance": {"members": ["clone/a1", "clone/b1"]}}, {"clone": {"mandate": "x"}},
            {"clone": {"mandate": str(UUID(int=1)), "topics": [""]}},
        ],
    )  # fmt: skip
    async def test_is_bounded(self, change: dict[str, object]) -> None:
        with pytest.raises(BadRequest):
            definition_of({**PERSONA, "clone": {"mandate": str(UUID(int=1))}, **change}, "clone")
        with pytest.raises(BadRequest):  # nor has an agent a likeness
            definition_of({**PERSONA, "clone": {"mandate": str(UUID(int=1))}})


class Later:
    """A clock that stands on another day."""

    def __init__(self, day: object, clock: object) -> None:
        self._day, self._clock = day, clock

    def today(self) -> object:
        return self._day

    def now(self) -> object:
        return self._clock.now()  # type: ignore[attr-defined]


class TestHttp:
    async def test_asks_with_a_key_and_is_decided_by_a_person_only(self, market: Market) -> None:
        maker, other = await market.party("asks over http"), await market.party("looks over http")
        until = str(market.services.clock.today() + timedelta(days=9))
        body = {"name": "clone/over-http", "purposes": ["teaching"], "until": until}
        made = await maker.http.post("/api/clones/requests", json=body)
        assert made.status_code == 201
        assert (await maker.http.post("/api/clones/requests", json=body)).status_code == 409
        listed = (await maker.http.get("/api/clones/requests")).json()["data"]
        assert [one["state"] for one in listed] == ["asked"]
        assert "code" not in listed[0]
        assert (await other.http.get("/api/clones/requests")).json()["data"] == []
        for path in (f"consents/{made.json()['code']}", "consents", "feedback"):  # no key decides for a person
            assert (await maker.http.get(f"/api/clones/{path}")).status_code == 401
        assert (await other.http.delete(f"/api/clones/requests/{made.json()['id']}")).status_code == 404
        dropped = await maker.http.delete(f"/api/clones/requests/{made.json()['id']}")
        assert dropped.json()["state"] == "dropped"
        assert (await maker.http.get("/api/clones/over-http/versions")).status_code == 404


class TestVoice:
    async def test_speaks_with_its_label_inside_the_file(self, market: Market) -> None:
        maker, payer = await market.party("voice maker"), await market.party("voice payer")
        seen: list[dict[str, object]] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            sound, kind = b'{"object": "list", "data": [{"id": "voice", "object": "model"}]}', b"application/json"
            if head.startswith(b"POST"):
                lines = head.lower().split(b"\r\n")
                length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
                seen.append(json.loads(await reader.readexactly(length)))
                sound, kind = wav(b"\x05\x00" * 50), b"audio/wav"
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (kind, len(sound)))
            writer.write(sound)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        rates = Rates(3_000_000, 0, 0, 0, 0)
        new = NewEngine("voices", f"http://127.0.0.1:{port}/v1", {"voice": "voice"}, rates, kind=Kind.SPEECH,
                        price_class="speech")  # fmt: skip
        await market.services.compute.add_engine(new, actor="tests")
        voice = {"voice": "voice", "voice_name": "zf_a"}
        await clone(market, maker, "speaks", "周播", purposes=("consultation", "voice"), clone=voice)
        await clone(market, maker, "silent", "吴默")
        body = {"model": "clone/speaks", "input": "汛期将至。"}
        answer = await payer.http.post("/v1/audio/speech", json=body)
        assert answer.status_code == 200, answer.text
        assert check_wav(answer.content, market.services.agents.labels.public_key).genuine
        assert (seen[-1]["voice"], str(seen[-1]["input"]).endswith("周播的数字分身播报。")) == ("zf_a", True)
        receipt = await payer.http.get(f"/api/receipts/{answer.headers['x-shanhe-receipt']}")
        assert receipt.status_code == 200
        assert await market.income(maker.org) > 0
        assert (await payer.http.post("/v1/audio/speech", json={**body, "response_format": "mp3"})).status_code == 400
        assert (await payer.http.post("/v1/audio/speech", json={**body, "model": "clone/silent"})).status_code == 400
        with pytest.raises(ChecksFailed, match="consent"):  # a voice needs a consent of its own
            await clone(market, maker, "mute", "郑默", clone=voice)
        server.close()


class TestDemo:
    async def test_has_a_clone_that_answers_once_its_model_is_there(self, market: Market) -> None:
        maker, payer, s = await market.party("demo maker"), await market.party("demo payer"), market.services
        city: Any = SimpleNamespace(settings=SimpleNamespace(model=MODEL), clones=s.clones, store=s.store,
                                    identity=s.identity, clock=s.clock)  # fmt: skip
        for _ in range(2):
            await demo._clone(city, maker.org)
        answer = await asked(market, payer, demo.CLONE, "怎么写开头？", "teaching")
        assert answer.status_code == 200, answer.text
        assert demo.CLONE_CALLED in answer.json()["choices"][0]["message"]["content"]
        (mandate,) = await s.clones.mandates(org_id=maker.org)
        await s.clones.revoke(mandate.id, mandate.person_id)
        await demo._clone(city, maker.org)  # the next start brings nothing back
        assert (await asked(market, payer, demo.CLONE, "在吗？")).status_code == 404


def wav(samples: bytes) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(samples)
    return out.getvalue()

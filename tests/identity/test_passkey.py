from __future__ import annotations

import asyncio
import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

from shanhe.identity.api import Ceremony, Client, Role, SignInFailed, Stage, TooManyOfThem
from shanhe.identity.service.passwords import FREE_FAILURES
from shanhe.kernel.errors import Conflict, Invalid, NotFound

from .conftest import URL, City

USER_PRESENT, USER_VERIFIED, ATTESTED = 0x01, 0x04, 0x40


@dataclass
class Authenticator:
    """A passkey in software (WebAuthn level 3, ES256, attestation "none")."""

    origin: str = URL
    rp_id: str = "localhost"
    verifies: bool = True
    count: int = 0
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = field(default_factory=lambda: os.urandom(32))
    handle: bytes = b""

    def _data(self, attested: bytes = b"") -> bytes:
        self.count += 1
        flags = USER_PRESENT | (USER_VERIFIED if self.verifies else 0) | (ATTESTED if attested else 0)
        return hashlib.sha256(self.rp_id.encode()).digest() + struct.pack(">BI", flags, self.count) + attested

    def _client(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def create(self, options: Mapping[str, Any]) -> dict[str, Any]:
        self.handle = base64url_to_bytes(options["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        public = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        attested = b"\x00" * 16 + struct.pack(">H", len(self.credential_id)) + self.credential_id + public
        data = self._data(attested)
        response = {
            "clientDataJSON": bytes_to_base64url(self._client("webauthn.create", options["challenge"])),
            "attestationObject": bytes_to_base64url(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})),
            "transports": ["internal", "hybrid", "no-such-thing"],
        }
        return self._answer(response)

    def get(self, options: Mapping[str, Any]) -> dict[str, Any]:
        client, data = self._client("webauthn.get", options["challenge"]), self._data()
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        response = {
            "clientDataJSON": bytes_to_base64url(client),
            "authenticatorData": bytes_to_base64url(data),
            "signature": bytes_to_base64url(signature),
            "userHandle": bytes_to_base64url(self.handle),
        }
        return self._answer(response)

    def _answer(self, response: dict[str, Any]) -> dict[str, Any]:
        name = bytes_to_base64url(self.credential_id)
        return {"id": name, "rawId": name, "type": "public-key", "response": response}


async def registered(city: City, *roles: Role, login: str = "zhang.wei") -> Authenticator:
    person, device = await city.person(login, *roles), Authenticator()
    ceremony = await city.identity.passkeys.begin_registration(person.id)
    await city.identity.passkeys.register(
        person.id, ceremony.id, device.create(ceremony.options), name="laptop", by="test"
    )
    return device


class TestPasskey:
    async def test_signs_in_alone_as_two_factors(self, city: City) -> None:
        device = await registered(city, Role.ADMIN)
        ceremony = await city.identity.signin.passkey_options()
        assert ceremony.options["allowCredentials"] == []
        assert ceremony.options["userVerification"] == "required"
        issued = await city.identity.signin.passkey(ceremony.id, device.get(ceremony.options))
        assert issued.stage == Stage.FULL
        assert "roles" in (await city.identity.sessions.actor(issued.token)).permissions

    async def test_completes_a_sign_in_with_a_password(self, city: City) -> None:
        device = await registered(city)
        waiting = await city.sign_in()
        assert waiting.methods == ("passkey",)
        ceremony = await city.identity.signin.passkey_options(waiting.token)
        assert len(ceremony.options["allowCredentials"]) == 1
        full = await city.identity.signin.passkey(ceremony.id, device.get(ceremony.options), token=waiting.token)
        assert full.stage == Stage.FULL

    async def test_answer_is_good_once(self, city: City) -> None:
        device = await registered(city)
        ceremony = await city.identity.signin.passkey_options()
        answer = device.get(ceremony.options)
        await city.identity.signin.passkey(ceremony.id, answer)
        with pytest.raises(SignInFailed):
            await city.identity.signin.passkey(ceremony.id, answer)

    async def test_that_was_copied_is_found_by_its_counter(self, city: City) -> None:
        device = await registered(city)
        first = await city.identity.signin.passkey_options()
        await city.identity.signin.passkey(first.id, device.get(first.options))
        device.count = 0
        second = await city.identity.signin.passkey_options()
        with pytest.raises(SignInFailed):
            await city.identity.signin.passkey(second.id, device.get(second.options))

    @pytest.mark.parametrize(
        "change",
        [
            {"origin": "http://localhost.evil:8600"},
            {"rp_id": "evil"},
            {"verifies": False},
            {"credential_id": b"x" * 32},
        ],
    )
    async def test_of_another_page_or_person_is_refused(self, city: City, change: dict[str, Any]) -> None:
        device = await registered(city)
        for name, value in change.items():
            setattr(device, name, value)
        ceremony = await city.identity.signin.passkey_options()
        with pytest.raises(SignInFailed):
            await city.identity.signin.passkey(ceremony.id, device.get(ceremony.options))

    async def test_with_another_key_is_refused(self, city: City) -> None:
        device = await registered(city)
        device.key = ec.generate_private_key(ec.SECP256R1())
        ceremony = await city.identity.signin.passkey_options()
        with pytest.raises(SignInFailed):
            await city.identity.signin.passkey(ceremony.id, device.get(ceremony.options))

    async def test_of_somebody_else_does_not_complete_my_sign_in(self, city: City) -> None:
        await registered(city)
        theirs = await registered(city, login="other")
        waiting = await city.sign_in()
        ceremony = await city.identity.signin.passkey_options()
        with pytest.raises(SignInFailed):
            await city.identity.signin.passkey(ceremony.id, theirs.get(ceremony.options), token=waiting.token)

    @pytest.mark.parametrize(
        "answer",
        [{}, {"rawId": 5}, {"rawId": "a"}, {"id": "eA", "rawId": "eA", "type": "public-key", "response": []}],
    )
    async def test_refuses_malformed_answers(self, city: City, answer: dict[str, Any]) -> None:
        person = await city.person()
        ceremony = await city.identity.signin.passkey_options()
        with pytest.raises(SignInFailed):
            await city.identity.signin.passkey(ceremony.id, answer)
        ceremony = await city.identity.passkeys.begin_registration(person.id)
        with pytest.raises(Invalid):
            await city.identity.passkeys.register(person.id, ceremony.id, answer, name="x", by="test")

    async def test_challenge_runs_out(self, city: City) -> None:
        device = await registered(city)
        ceremony = await city.identity.signin.passkey_options()
        city.clock.advance(minutes=6)
        with pytest.raises(SignInFailed):
            await city.identity.signin.passkey(ceremony.id, device.get(ceremony.options))

    async def test_is_registered_once_and_by_whom_it_was_begun(self, city: City) -> None:
        device = await registered(city)
        other = await city.person("other")
        passkeys = city.identity.passkeys

        async def again(ceremony: Ceremony) -> None:
            await passkeys.register(other.id, ceremony.id, device.create(ceremony.options), name="x", by="test")

        with pytest.raises(Conflict):
            await again(await passkeys.begin_registration(other.id))
        mine = (await city.identity.people.find(login="zhang.wei"))[0]
        with pytest.raises(Invalid):
            await again(await passkeys.begin_registration(mine.id))

    async def test_is_one_of_as_many_as_a_person_may_have_also_where_two_are_begun_side_by_side(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shanhe.identity.service.passkeys.PASSKEYS_MAX", 2)
        await registered(city)
        person, keys = (await city.identity.people.find(login="zhang.wei"))[0], city.identity.passkeys
        begun = [await keys.begin_registration(person.id) for _ in range(3)]

        async def end(ceremony: Ceremony) -> object:
            return await keys.register(
                person.id, ceremony.id, Authenticator().create(ceremony.options), name="phone", by="test"
            )

        done = await asyncio.gather(*map(end, begun), return_exceptions=True)
        assert sorted(isinstance(one, TooManyOfThem) for one in done) == [False, True, True]
        assert len(await keys.list(person.id)) == 2
        with pytest.raises(TooManyOfThem):
            await keys.begin_registration(person.id)

    async def test_is_made_by_a_device_that_knows_its_person(self, city: City) -> None:
        person, device = await city.person(), Authenticator(verifies=False)
        ceremony = await city.identity.passkeys.begin_registration(person.id)
        answer = device.create(ceremony.options)
        with pytest.raises(Invalid):
            await city.identity.passkeys.register(person.id, ceremony.id, answer, name="laptop", by="test")
        assert await city.identity.passkeys.list(person.id) == []

    async def test_that_answers_leaves_room_for_the_next_on_the_same_network(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for kind in ("begun", "address"):
            monkeypatch.setitem(FREE_FAILURES, kind, 2)
        device, here = await registered(city), Client("203.0.113.7", "Firefox")
        for _ in range(4):
            ceremony = await city.identity.signin.passkey_options(client=here)
            await city.identity.signin.passkey(ceremony.id, device.get(ceremony.options), here)

    async def test_last_one_stays_with_whoever_needs_it(self, city: City) -> None:
        await registered(city, Role.OPERATOR)
        person = (await city.identity.people.find(login="zhang.wei"))[0]
        passkey = (await city.identity.passkeys.list(person.id))[0]
        assert (await city.db.fetchval("SELECT name FROM identity.passkey")).startswith("\x1e")  # the person's to read
        with pytest.raises(Conflict):
            await city.identity.passkeys.remove(person.id, passkey.id, by="test")
        await city.identity.people.withdraw(person.id, Role.OPERATOR, by="test")
        await city.identity.passkeys.remove(person.id, passkey.id, by="test")
        with pytest.raises(NotFound):
            await city.identity.passkeys.remove(person.id, passkey.id, by="test")

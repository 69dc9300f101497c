"""Whose words an answer is made of, what that pays, and labels: pure."""

from __future__ import annotations

import io
import sys
import wave
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanhe.agents import attribution
from shanhe.gateway.commission import Commission, Maker, Markup, part
from shanhe.gateway.meter import Buckets
from shanhe.gateway.tariff import Prices
from shanhe.kernel.ids import new_id
from shanhe.kernel.labelling import Labels, check_text, check_wav, label_in, wav_digest
from shanhe.kernel.provenance import Provenance, state_of
from shanhe.ledger.api import Provenance as Source
from stage.draws import draws

NOTES, TREES = "作文先列提纲，再写开头。", "果树冬天要剪枝，春天要施肥。"
SENTENCES = ["作文先列提纲。", "果树要剪枝！", "Water the trees. ", "再写开头；", "哦", "\n"]
TEXTS = st.lists(st.sampled_from(SENTENCES), max_size=8)


class TestAttribution:
    @settings(max_examples=40, deadline=None)
    @given(TEXTS, st.lists(TEXTS, min_size=1, max_size=4))
    def test_counts_each_word_for_one_clone_at_most(self, final: list[str], sources: list[list[str]]) -> None:
        answer, given = "".join(final), ["".join(one) for one in sources]
        read = attribution.read(answer, given, 5_000)
        assert read == attribution.read(answer, given, 5_000)
        assert len(read.tokens) == len(given)
        assert 0 <= sum(read.tokens) <= len(attribution.tokens(answer))
        plain = read.marked
        for n in range(1, len(given) + 1):
            plain = plain.replace(f"〔{n}〕", "")
        assert plain == answer

    def test_goes_to_the_first_of_equals_and_to_nobody_without_words(self) -> None:
        assert attribution.read(NOTES, [NOTES, NOTES], 5_000).tokens[1] == 0
        assert attribution.read("完全无关的内容", [NOTES, TREES], 5_000).tokens == (0, 0)


@st.composite
def alliances(draw: Any) -> tuple[Commission, int, Buckets, Prices]:
    owners = draw(st.lists(st.integers(0, 400), min_size=1, max_size=8))
    makers = tuple(Maker(new_id(), weight, draw(st.booleans())) for weight in owners)
    rate = draw(st.sampled_from([100, 1_999, 2_000, 2_001, 9_999, 1_000_000]))
    carried = draw(st.integers(0, 3_000_000))
    markup = Markup("clone_owner", "alliance/x", rate, draw(st.sampled_from([0, 1, 777_777])), makers, carried)
    prices = Prices(*(draw(st.sampled_from([0, 1, 999_999, 40_000_000])) for _ in range(5)), version="p")
    most = draw(st.integers(0, 4_000))
    used = Buckets(input=draw(st.integers(0, most)))
    return Commission((markup,), (), None, 8_000, 2_000, {}), most, used, prices


class TestSplit:
    @settings(max_examples=draws(60), deadline=None)
    @given(alliances(), st.integers(0, 10_000_000))
    def test_of_any_alliance_is_exact_and_within_what_is_held(
        self, one: tuple[Commission, int, Buckets, Prices], subsidy: int
    ) -> None:
        commission, most, used, prices = one
        held, subsidised = commission.held(prices.most(most, 0))

        def burning(total: int, bound: int) -> dict[Source, int]:
            burned = min(subsidy, subsidised, bound, total)
            return {Source.SUBSIDY: burned, Source.PURCHASED: total - burned}

        def divide(amount: int, weights: Any) -> list[int]:
            whole = sum(weights)
            parts = [amount * weight // whole for weight in weights]
            order = sorted(range(len(weights)), key=lambda at: (-(amount * weights[at] % whole), at))
            for at in order[: amount - sum(parts)]:
                parts[at] += 1
            return parts

        parted = part(prices, used, (), commission, new_id(), new_id(), burning, divide)
        total = parted.charged.total_micro
        assert sum(share.amount_micro for share in parted.charged.shares) == total <= held
        assert all(share.amount_micro > 0 for share in parted.charged.shares)
        # what subsidy may not pay is there: R1 holds whatever the call comes to
        assert total - min(parted.through.subsidy_max_micro, total) <= held - subsidised or not commission.bounded
        related = {maker.account for maker in commission.markups[0].makers if maker.related}
        assert not related & {share.account for share in parted.charged.shares}


LABELS = Labels(b"k" * 32, "山河市", "本内容由人工智能生成（{by}），编号 {id}")
OTHERS = Labels(b"o" * 32, "山河市", "AI 生成")


def sound(samples: bytes = b"\x01\x00" * 100) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(samples)
    return out.getvalue()


class TestLabel:
    @settings(max_examples=25, deadline=None)
    @given(st.text(max_size=80), st.text(alphabet="abc0-", min_size=1, max_size=40))
    def test_is_genuine_for_exactly_its_text_and_its_city(self, text: str, number: str) -> None:
        marked = LABELS.marked(text, "张老师的数字分身", number)
        label = LABELS.of_text(number, marked)
        assert check_text(marked, label, LABELS.public_key).genuine
        assert not check_text(marked + "x", label, LABELS.public_key).genuine
        assert not check_text(marked, label, OTHERS.public_key).genuine
        assert not check_text(marked, label | {"ProduceID": number + "1"}, LABELS.public_key).genuine
        assert not check_text(marked, {}, LABELS.public_key).labelled

    def test_of_a_sound_is_in_its_file_and_changes_nothing_that_is_heard(self) -> None:
        plain = sound()
        labelled = LABELS.sound("n1", plain)
        with wave.open(io.BytesIO(labelled)) as file:
            assert file.readframes(1_000) == b"\x01\x00" * 100
        assert wav_digest(labelled) == wav_digest(plain)
        assert label_in(labelled)["ProduceID"] == "n1"
        assert check_wav(labelled, LABELS.public_key).genuine
        assert not check_wav(plain, LABELS.public_key).labelled
        louder = labelled.replace(b"\x01\x00" * 100, b"\x02\x00" * 100)
        assert not check_wav(louder, LABELS.public_key).genuine
        assert LABELS.sound("n2", labelled).count(b"AIGC") == labelled.count(b"AIGC")  # one label, not two

    def test_needs_a_mark_that_says_so(self) -> None:
        with pytest.raises(ValueError, match="AI"):
            Labels(b"k" * 32, "山河市", "谢谢阅读")


class TestProvenance:
    def test_is_read_by_the_library_and_ends_with_a_change(self) -> None:
        pytest.importorskip("c2pa", reason="the extra `scenes` is not installed")
        one, same = Provenance(b"k" * 32, "山河市"), Provenance(b"k" * 32, "山河市")
        signed = one.sign(LABELS.sound("n1", sound()), "clone/teacher n1")
        assert state_of(signed) == "Valid"
        assert check_wav(signed, LABELS.public_key).genuine
        assert one.root.startswith("-----BEGIN CERTIFICATE")
        assert state_of(same.sign(sound(), "n2")) == "Valid"
        assert state_of(signed.replace(b"\x01\x00" * 100, b"\x02\x00" * 100)) == "Invalid"

    def test_is_left_out_without_the_library(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "c2pa", None)
        assert Provenance(b"k" * 32, "山河市").sign(sound(), "n") == sound()
        assert state_of(sound()) == "absent"

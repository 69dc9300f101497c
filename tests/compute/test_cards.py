from __future__ import annotations

import pytest

from shanhe.compute.api import Kind, UnknownModel, card, cards
from shanhe.compute.cards import read_card


class TestCard:
    def test_every_packaged_card_is_complete(self) -> None:
        for one in cards():
            if one.file:
                assert len(one.sha256) == 64
                assert one.size_bytes > 0
                assert one.sources
                assert sum(one.layout.values()) in (0, one.size_bytes)
            else:
                assert one.needs
            assert one.title_zh
            assert one.title_en
            assert one.licence
            assert 0 < one.context_tokens <= one.context_trained_tokens

    def test_the_embedded_default_and_an_embedding_model_are_there(self) -> None:
        assert card("qwen2.5-coder-0.5b-instruct").kind is Kind.CHAT
        assert card("multilingual-e5-small").lazy

    def test_unknown_models_have_none(self) -> None:
        with pytest.raises(UnknownModel):
            card("gpt-99")

    @pytest.mark.parametrize("text", ["", "id: x", "- a", "id: x\nsources: [{kind: ftp}]", "a: b: c"])
    def test_an_unreadable_card_is_named(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"broken\.yaml"):
            read_card("broken.yaml", text)

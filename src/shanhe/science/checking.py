"""Whether what is deposited is in order; every refusal names its field."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from shanhe.science.desk import Desk
from shanhe.science.errors import BadDeposit
from shanhe.science.model import (
    ABSTRACT_MAX_CHARS,
    AUTHORS_MAX,
    LICENCES,
    LINK_MAX_CHARS,
    TITLE_MAX_CHARS,
    NewVersion,
)

if TYPE_CHECKING:
    from shanhe.rulebook.api import Rulebook

SHARES_RULE: Final = "T17"
SHA256: Final = re.compile(r"^([0-9a-f]{64})?$")
LINK: Final = re.compile(r"^https?://[^\s<>\"]+$")
WORDS: Final = (("title", TITLE_MAX_CHARS), ("abstract", ABSTRACT_MAX_CHARS), ("link", LINK_MAX_CHARS))


async def checked(desk: Desk, rulebook: Rulebook, new: NewVersion, org_id: UUID) -> NewVersion:
    """What is deposited, in its normal form. BadDeposit names the field."""
    trimmed: dict[str, Any] = {
        name: getattr(new, name).strip() for name in ("title", "abstract", "licence", "sha256", "link")
    }
    new = replace(new, **trimmed)
    new = replace(new, sha256=new.sha256.lower())
    for field, most in WORDS:
        text = getattr(new, field)
        if len(text) > most or any(not (one.isprintable() or one in "\n\r\t") for one in text):
            raise BadDeposit(field, f"at most {most} printable characters", f"不超过 {most} 个可见字符")
    if not new.title:
        raise BadDeposit("title", "say what it is called", "请填写名称")
    if new.licence not in LICENCES:
        raise BadDeposit(
            "licence", "an SPDX identifier that lets others reuse it: " + ", ".join(LICENCES),
            "须为允许复用的 SPDX 许可证：" + "、".join(LICENCES),
        )  # fmt: skip
    if not SHA256.fullmatch(new.sha256) or not (new.sha256 or new.link):
        raise BadDeposit("sha256", "the SHA-256 of its file, a link, or both", "须填写文件 SHA-256 或链接")
    if new.link and not LINK.match(new.link):
        raise BadDeposit("link", "an address that begins with https://", "须为 https:// 开头的网址")
    await _check_authors(desk, rulebook, new, org_id)
    return new


async def _check_authors(desk: Desk, rulebook: Rulebook, new: NewVersion, org_id: UUID) -> None:
    whole = int(rulebook.parameter(SHARES_RULE, "whole", desk.clock.today()))
    parties = [party for party, _ in new.authors]
    if not 1 <= len(parties) <= AUTHORS_MAX or len(set(parties)) < len(parties) or org_id not in parties:
        raise BadDeposit(
            "authors", f"1 to {AUTHORS_MAX}, each once, whoever deposits it among them",
            f"须有 1–{AUTHORS_MAX} 位作者，每位一次，且包括提交者",
        )  # fmt: skip
    if min(ppm for _, ppm in new.authors) <= 0 or sum(ppm for _, ppm in new.authors) != whole:
        raise BadDeposit(
            "authors", "each share must be above 0, and they must make 100 % together, exactly (T17)",
            "各作者份额须大于零，合计恰为 100%（T17）",
        )  # fmt: skip
    for party in parties:
        await desk.named(party)

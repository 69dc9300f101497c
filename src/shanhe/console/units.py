"""How people write numbers of a rule's unit in a form: yuan for fen, credits for µ, percent for basis points."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

NUMBER: Final = re.compile(r"^(-?[0-9]{1,15})(?:\.([0-9]{1,6}))?$")
FORMS: Final = {
    "fen": ("yuan", 2), "fen_per_credit": ("yuan_per_credit", 2), "micro": ("credit", 6), "micro_credit": ("credit", 6),
    "micro_per_mtok": ("credit_per_mtok", 6), "bps": ("percent", 2), "ppm": ("percent", 4),
}  # fmt: skip
"""Units of the rulebook → the unit in which people write them, and by how many digits it is larger."""


@dataclass(frozen=True, slots=True)
class Form:
    """One unit as people write it: what it is called, and by how many digits it is larger."""

    word: str
    digits: int

    def read(self, text: str) -> int:
        """ValueError for what is no number of so many digits."""
        match = NUMBER.match(text.replace(",", "").strip())
        if match is None or len(match.group(2) or "") > self.digits:
            raise ValueError(text)
        return int(match.group(1) + (match.group(2) or "").ljust(self.digits, "0"))

    def show(self, value: int) -> str:
        """What `read` reads again."""
        text = f"{Decimal(value).scaleb(-self.digits):f}"
        return text.rstrip("0").rstrip(".") if "." in text else text


def form_of(unit: str) -> Form:
    return Form(*FORMS.get(unit, ("", 0)))

"""QR codes as one SVG path, so that a page needs no picture and no script."""

from __future__ import annotations

MARGIN = 2


def qr_path(text: str, error: str = "m") -> tuple[int, str]:
    """A QR code as (modules a side with margin, SVG path of the dark modules)."""
    import segno

    code = segno.make(text, error=error, micro=False, boost_error=False)
    rows = [bytes(row) for row in code.matrix]
    return len(rows) + 2 * MARGIN, "".join(part for y, row in enumerate(rows) for part in _runs(y, row))


def _runs(y: int, row: bytes) -> list[str]:
    """Dark modules beside each other are one piece: a long code stays a small page."""
    found, start = [], -1
    for x, dark in enumerate((*row, 0)):
        if dark and start < 0:
            start = x
        elif not dark and start >= 0:
            found.append(f"M{start + MARGIN} {y + MARGIN}h{x - start}v1h-{x - start}z")
            start = -1
    return found

"""What the jobs worker repeats for the exchange. Every step is idempotent, so several workers may run it at once."""

from __future__ import annotations

from shanhe.exchange.service import Exchange


async def tick(exchange: Exchange) -> dict[str, int]:
    """Orders whose time is over, trades to settle, the auction if one is due; how many of each."""
    ran = await exchange.tick()
    return {"auctions": int(ran.auction is not None), "trades": ran.trades, "settled": ran.settled, "ended": ran.ended}

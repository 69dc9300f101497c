"""`shanhe exchange`: the market, an organisation's orders, and what operators do."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import msgspec
import typer

from shanhe.cli.common import ACTOR, Data, Json, find_org, id_of, in_city, pairs, rows, show
from shanhe.kernel.money import format_credits, format_fen, parse_credits, parse_yuan

if TYPE_CHECKING:
    from shanhe.app import Services
    from shanhe.exchange.api import OrderView

app = typer.Typer(no_args_is_help=True)
Org = Annotated[str, typer.Option(help="Organisation: id or name.")]
OrderId = Annotated[UUID, typer.Argument(help="The order's id.")]
Price = Annotated[str, typer.Option(help="CNY a credit, like 0.6543.")]
Quantity = Annotated[str, typer.Option(help="Credits, like 100 or 12.5.")]
Reason = Annotated[str, typer.Option(help="Why; it is public.")]


def _order(view: OrderView) -> dict[str, Any]:
    from shanhe.exchange.api import SIDES, yuan_of

    plain = msgspec.structs.asdict(view)
    return {**plain, "side": SIDES[view.side], "price": yuan_of(view.ticks), "left_micro": view.left_micro}


def _orders(found: list[dict[str, Any]]) -> Any:
    return rows(
        ("id", "side", "price", "credits", "filled", "state", "placed"),
        [(o["id"], o["side"], o["price"], format_credits(o["quantity_micro"]), format_credits(o["filled_micro"]),
          o["state"], o["placed_at"].strftime("%Y-%m-%d %H:%M")) for o in found],
        right=("price", "credits", "filled"),
    )  # fmt: skip


@app.command()
def status(data: Data = None, as_json: Json = False) -> None:
    """The market: mode, approval, corridor, next auction."""
    found = asdict(in_city(data, lambda services: services.exchange.status()))
    show(as_json, found, lambda: pairs(found))


@app.command()
def book(depth: int = 10, data: Data = None, as_json: Json = False) -> None:
    """Depth inside the corridor, best first, and the indicative price."""
    from shanhe.exchange.api import yuan_of

    found = in_city(data, lambda services: services.exchange.book(depth))
    plain = {
        "market": found.status.market, "sample": found.status.sample, "indicative_ticks": found.indicative_ticks,
        "indicative_micro": found.indicative_micro, "buys": [level._asdict() for level in found.buys],
        "sells": [level._asdict() for level in found.sells],
    }  # fmt: skip
    lines = [("卖 sell", yuan_of(x.ticks), format_credits(x.quantity), x.orders) for x in reversed(found.sells)]
    lines += [("买 buy", yuan_of(x.ticks), format_credits(x.quantity), x.orders) for x in found.buys]
    show(as_json, plain, lambda: rows(("", "price", "credits", "orders"), lines, right=("price", "credits", "orders")))


@app.command()
def orders(
    org: Org = "", open_only: Annotated[bool, typer.Option("--open", help="Open ones only.")] = False,
    limit: int = 50, data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Orders, newest first; of one organisation or of all."""

    async def work(services: Services) -> list[OrderView]:
        owner = (await find_org(services, org)).id if org else None
        return list(await services.exchange.orders(owner, open_only=open_only, limit=limit))

    found = [_order(view) for view in in_city(data, work)]
    show(as_json, found, lambda: _orders(found))


@app.command()
def place(
    side: Annotated[str, typer.Argument(help="buy or sell.")],
    org: Org,
    price: Price,
    quantity: Quantity,
    day: Annotated[
        bool, typer.Option("--day", help="Until the end of the day in the city; else until cancelled.")
    ] = False,
    order_id: Annotated[str, typer.Option("--id", help="UUID; the same one again orders nothing twice.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Place a limit order; credits or cash are set aside at once."""
    from shanhe.exchange.api import SIDES, NewOrder, Validity, parse_price
    from shanhe.kernel.errors import Invalid

    if side not in SIDES:
        raise Invalid("bad_side", f"{side!r} is neither buy nor sell.", message_zh=f"{side!r} 不是 buy 或 sell。")
    ticks, micro = parse_price(price), parse_credits(quantity)
    number = id_of(order_id)

    async def work(services: Services) -> OrderView:
        owner = await find_org(services, org)
        validity = Validity.DAY if day else Validity.GTC
        new = NewOrder(number, owner.id, SIDES.index(side), ticks, micro, validity)
        return await services.exchange.place(new, actor=ACTOR)

    placed = _order(in_city(data, work))
    show(as_json, placed, lambda: _orders([placed]))


@app.command()
def cancel(order: OrderId, data: Data = None, as_json: Json = False) -> None:
    """End an order; what was filled stays."""
    done = _order(in_city(data, lambda services: services.exchange.cancel(order, org_id=None, actor=ACTOR)))
    show(as_json, done, lambda: _orders([done]))


@app.command()
def amend(order: OrderId, price: Price, quantity: Quantity, data: Data = None, as_json: Json = False) -> None:
    """New price and new total quantity, the filled part included."""
    from shanhe.exchange.api import parse_price

    ticks, micro = parse_price(price), parse_credits(quantity)
    done = _order(in_city(data, lambda services: services.exchange.amend(
        order, org_id=None, ticks=ticks, quantity_micro=micro, actor=ACTOR)))  # fmt: skip
    show(as_json, done, lambda: _orders([done]))


@app.command()
def auction(
    now: Annotated[bool, typer.Option("--now", help="One at once, besides the regular ones.")] = False,
    data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Hold the auction that is due, if any."""
    done = asdict(in_city(data, lambda services: services.exchange.run_auction(forced_by=ACTOR if now else None)))
    show(as_json, done, lambda: pairs(done))


@app.command()
def trades(org: Org = "", limit: int = 50, data: Data = None, as_json: Json = False) -> None:
    """Trades, newest first."""
    from shanhe.exchange.api import yuan_of

    async def work(services: Services) -> Any:
        owner = (await find_org(services, org)).id if org else None
        return await services.exchange.trades(org_id=owner, limit=limit)

    found = in_city(data, work)
    show(as_json, [asdict(one) for one in found], lambda: rows(
        ("at", "price", "credits", "cash", "fee", "settled"),
        [(x.at.strftime("%Y-%m-%d %H:%M:%S"), yuan_of(x.ticks), format_credits(x.quantity_micro),
          format_fen(x.cash_fen), format_fen(x.fee_fen), x.settled_at is not None) for x in found],
        right=("price", "credits", "cash", "fee"),
    ))  # fmt: skip


@app.command()
def pause(reason: Reason, data: Data = None, as_json: Json = False) -> None:
    """Stop trading; orders can still be cancelled."""
    done = asdict(in_city(data, lambda services: services.exchange.pause(reason, actor=ACTOR)))
    show(as_json, done, lambda: "✓ 已暂停 paused")


@app.command()
def resume(reason: Reason, data: Data = None, as_json: Json = False) -> None:
    """Go on trading."""
    done = asdict(in_city(data, lambda services: services.exchange.resume(reason, actor=ACTOR)))
    show(as_json, done, lambda: "✓ 已恢复 trading")


@app.command()
def replay(data: Data = None, as_json: Json = False) -> None:
    """Fold the whole journal again; exit code 1 when book or trades differ from what is kept."""
    found = in_city(data, lambda services: services.exchange.replay())
    plain = {**asdict(found), "same": found.same}
    show(as_json, plain, lambda: pairs(plain))
    if not found.same:
        raise typer.Exit(1)


@app.command()
def fund(data: Data = None, as_json: Json = False) -> None:
    """The ecosystem fund: fees in, payments out."""

    async def work(services: Services) -> Any:
        return await services.exchange.fund.view(await services.exchange.market())

    found = asdict(in_city(data, work))
    show(as_json, found, lambda: pairs({
        "余额 balance": format_fen(found["balance_fen"]), "手续费 fees": format_fen(found["fees_fen"]),
        "支出 paid": format_fen(found["paid_fen"]), "成交 trades": found["trades"],
    }))  # fmt: skip


@app.command("pay-out")
def pay_out(
    org: Annotated[str, typer.Argument(help="Organisation: id or name.")],
    amount: Annotated[str, typer.Argument(help="CNY, like 1000 or 12.50.")],
    reason: Reason,
    by: Annotated[str, typer.Option(help="Who asks; somebody else approves.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Ask to pay an organisation out of the fund; `shanhe approvals approve` is the second person's word."""
    amount_fen = parse_yuan(amount)

    async def work(services: Services) -> Any:
        owner = await find_org(services, org)
        return await services.exchange.fund.request(owner.id, amount_fen, reason, by=by)

    made = asdict(in_city(data, work))
    show(as_json, made, lambda: f"✓ {made['id']} · waits for a second person 等待第二人审批")


@app.command()
def receive(
    org: Annotated[str, typer.Argument(help="Organisation: id or name.")],
    amount: Annotated[str, typer.Argument(help="CNY, like 1000 or 12.50.")],
    reference: Annotated[str, typer.Option(help="The bank's; the same one again books nothing twice.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Book cash that came by bank transfer for an organisation's exchange account."""
    amount_fen = parse_yuan(amount)

    async def work(services: Services) -> dict[str, Any]:
        owner = await find_org(services, org)
        posting = await services.exchange.cash.receive(owner.id, amount_fen, reference=reference, actor=ACTOR)
        purse = await services.exchange.cash.purse(owner.id, await services.exchange.market())
        return {"posting_id": posting, "cash_fen": purse.cash_fen}

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {format_fen(done['cash_fen'])} CNY")


@app.command()
def withdrawals(data: Data = None, as_json: Json = False) -> None:
    """Withdrawals that wait to be paid."""
    found = in_city(data, lambda services: services.exchange.cash.withdrawals(None, open_only=True))
    show(as_json, [asdict(one) for one in found], lambda: rows(
        ("id", "organisation", "CNY", "payee", "asked"),
        [(x.id, x.org_id, format_fen(x.amount_fen), x.payee, x.created_at) for x in found], right=("CNY",),
    ))  # fmt: skip


@app.command("decide-withdrawal")
def decide_withdrawal(
    withdrawal: UUID,
    reference: Annotated[str, typer.Option(help="The bank's reference, or why it is refused.")],
    by: Annotated[str, typer.Option(help="Who decides; never who asked.")],
    refuse: Annotated[bool, typer.Option("--refuse", help="Refuse it.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Say that a withdrawal was paid by bank transfer, or refuse it."""
    done = in_city(data, lambda services: services.exchange.cash.decide_withdrawal(
        withdrawal, paid=not refuse, reference=reference, actor=by))  # fmt: skip
    show(as_json, asdict(done), lambda: f"✓ {done.state}")


@app.command()
def disputes(data: Data = None, as_json: Json = False) -> None:
    """Disputes that wait for an answer."""
    found = in_city(data, lambda services: services.exchange.disputes.list(None, open_only=True))
    show(as_json, [asdict(one) for one in found], lambda: rows(
        ("id", "order", "text"), [(x.id, x.order_id, x.text) for x in found]))  # fmt: skip


@app.command()
def answer(
    dispute: UUID,
    text: Annotated[str, typer.Option(help="The answer.")],
    uphold: Annotated[bool, typer.Option("--uphold/--dismiss")],
    by: Annotated[str, typer.Option(help="Who decides; never who complained.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Answer a dispute."""
    done = in_city(data, lambda services: services.exchange.disputes.decide(
        dispute, upheld=uphold, answer=text, actor=by))  # fmt: skip
    show(as_json, asdict(done), lambda: f"✓ {done.state}")


@app.command("endow-stability")
def endow_stability(
    amount: Annotated[str, typer.Argument(help="CNY, like 1000 or 12.50.")],
    posting: Annotated[str, typer.Option("--id", help="UUID; the same one again books nothing twice.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Move cash of the ecosystem fund to the stability fund."""
    amount_fen, number = parse_yuan(amount), id_of(posting)

    async def work(services: Services) -> dict[str, Any]:
        await services.exchange.endow_stability(amount_fen, posting_id=number, actor=ACTOR)
        return {"posting_id": number, "amount_fen": amount_fen}

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {format_fen(done['amount_fen'])} CNY")


@app.command()
def interventions(data: Data = None, as_json: Json = False) -> None:
    """What the stability fund did, and why."""
    from shanhe.exchange.api import SIDES, yuan_of

    found = in_city(data, lambda services: services.exchange.stability.interventions())
    show(as_json, [asdict(one) for one in found], lambda: rows(
        ("at", "side", "price", "credits"),
        [(x.at, SIDES[x.side], yuan_of(x.ticks), format_credits(x.quantity)) for x in found],
    ))  # fmt: skip


@app.command()
def reverse(
    dispute: UUID,
    reason: Annotated[str, typer.Option(help="Why; it is kept on the postings.")],
    by: Annotated[str, typer.Option(help="Who asks; somebody else approves.")],
    trade: Annotated[list[UUID] | None, typer.Option(help="Only this trade; repeatable. Default: all.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Ask to undo the trades of an upheld dispute; `shanhe approvals approve` is the second person's word."""
    made = in_city(data, lambda services: services.exchange.remedies.ask(
        dispute, reason, by=by, trades=trade or ()))  # fmt: skip
    show(as_json, asdict(made), lambda: f"✓ {made.id} · waits for a second person 等待第二人审批")


@app.command()
def reversals(
    everything: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False,
    data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Reversals that wait for a second person, or all with what each gave back."""

    async def work(services: Services) -> Any:
        await services.exchange.remedies.run()
        return await services.exchange.remedies.list(open_only=not everything)

    found = in_city(data, work)
    head = ("id", "state", "trades", "credits back", "CNY back", "bound by")
    lines = [
        (x.id, x.state, len(x.trades), format_credits(sum(r.quantity_micro for r in x.reversals)),
         format_fen(sum(r.cash_fen for r in x.reversals)), " ".join(sorted({r.bound for r in x.reversals} - {""})))
        for x in found
    ]  # fmt: skip
    show(as_json, [asdict(one) for one in found], lambda: rows(head, lines, right=head[2:5]))

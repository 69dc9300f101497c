"""Who is told when people arrive and leave: officers of a registration that waits, a person of an invitation, its
organisation of the answer, that a member left, and that it was frozen. Notices name no person: they outlive an
erasure."""

from __future__ import annotations

from datetime import date
from typing import Final
from uuid import UUID

from shanhe.identity.api import (
    ANSWERED_TOPIC,
    FROZEN_TOPIC,
    INVITED_TOPIC,
    LEFT_TOPIC,
    OWNERLESS_TOPIC,
    REGISTERED_TOPIC,
    UNFROZEN_TOPIC,
    Identity,
    Leaving,
    RegistrationState,
    Unknown,
)
from shanhe.kernel.clock import CITY_TZ, Clock
from shanhe.kernel.notify import Notice, Notifier, Severity, Text
from shanhe.kernel.outbox import Event, Outbox

ANSWERS: Final = {"accepted": ("接受", "accepted"), "declined": ("谢绝", "declined")}


def follow_arrivals(
    outbox: Outbox, identity: Identity, leaving: Leaving, notifier: Notifier, clock: Clock
) -> None:  # fmt: skip
    """Subscribe the notices."""

    async def registered(event: Event) -> None:
        if event.payload.get("state") == RegistrationState.WAITING:
            await notifier.notify(_waiting(clock.now().astimezone(CITY_TZ).date()))

    async def invited(event: Event) -> None:
        org = await _name(identity, UUID(event.payload["org"]))
        await notifier.notify(_invitation(event.key, org, UUID(event.payload["person"])))

    async def answered(event: Event) -> None:
        await notifier.settled(f"invited:{event.key}")
        if event.payload["state"] not in ANSWERS:
            return
        zh, en = ANSWERS[event.payload["state"]]
        await notifier.notify(
            Notice(
                kind="identity.invitation",
                title=Text(f"一项成员邀请已被{zh}", f"An invitation to become a member was {en}"),
                body=Text("请在成员页面查看。", "See the members of your organisation."),
                org_id=UUID(event.payload["org"]),
                link="/members",
                dedupe=f"answered:{event.key}",
            )
        )

    async def left(event: Event) -> None:
        if not event.payload.get("own", True):  # whoever removes somebody knows, and said what becomes of what is left
            return
        org_id, person = UUID(event.payload["org"]), event.payload.get("person")
        lasts = person is not None and UUID(person) in await leaving.leavers(org_id)
        await notifier.notify(_gone(event.key, org_id, lasts=lasts))

    async def ownerless(event: Event) -> None:
        await notifier.notify(_ownerless(event.key, await _name(identity, UUID(event.payload["org"])),
                                         event.payload["org"]))  # fmt: skip

    async def frozen(event: Event) -> None:
        await notifier.notify(_frozen(event.key, UUID(event.payload["org"])))

    async def unfrozen(event: Event) -> None:
        await notifier.notify(_unfrozen(event.key, UUID(event.payload["org"])))

    outbox.subscribe(FROZEN_TOPIC, "organisations.frozen", frozen)
    outbox.subscribe(UNFROZEN_TOPIC, "organisations.unfrozen", unfrozen)
    outbox.subscribe(OWNERLESS_TOPIC, "organisations.ownerless", ownerless)
    outbox.subscribe(LEFT_TOPIC, "members.left", left)
    outbox.subscribe(REGISTERED_TOPIC, "registrations.notice", registered)
    outbox.subscribe(INVITED_TOPIC, "invitations.notice", invited)
    outbox.subscribe(ANSWERED_TOPIC, "invitations.answer", answered)


def _gone(key: str, org_id: UUID, *, lasts: bool) -> Notice:
    """`lasts`: something that they made goes on."""
    body = Text("其创建的密钥、Webhook 和定时任务仍在运行，且其知晓相应密钥。请在成员页面逐项接管或终止。",
                "Keys, webhooks and schedules that they made go on, with secrets they know: take each over or end it "
                "on the page of your members.")  # fmt: skip
    nothing = Text("其没有留下仍在运行的密钥、Webhook 或定时任务。", "No key, webhook or schedule of theirs goes on.")
    return Notice(
        kind="identity.member", title=Text("一名成员已退出本机构", "A member has left your organisation"),
        body=body if lasts else nothing, severity=Severity.WARNING if lasts else Severity.INFO, org_id=org_id,
        link="/members#left" if lasts else "/members", dedupe=f"left:{key}",
    )  # fmt: skip


def _frozen(key: str, org_id: UUID) -> Notice:
    """Without the reason, which is a clerk's word to clerks: whoever asks is told by one."""
    return Notice(
        kind="identity.frozen", title=Text("您的账户已被冻结", "Your account was frozen"),
        body=Text("密钥与付费调用已停止，余额不变。请联系运营方了解原因与解冻方式。",
                  "Keys and paid calls stopped; the balance stays. Ask the operator why, and how to lift it."),
        severity=Severity.CRITICAL, org_id=org_id, link="/", dedupe=f"frozen:{key}",
    )  # fmt: skip


def _unfrozen(key: str, org_id: UUID) -> Notice:
    return Notice(
        kind="identity.frozen", title=Text("您的账户已解冻", "Your account is frozen no more"),
        body=Text("密钥与付费调用已恢复。", "Keys and paid calls work again."),
        org_id=org_id, link="/", dedupe=f"unfrozen:{key}",
    )  # fmt: skip


def _waiting(today: date) -> Notice:
    """One a day, however many they are."""
    return Notice(
        kind="identity.registration",
        title=Text("有居民注册等待审核", "Residents who registered wait to be looked at"),
        body=Text("请在“注册审核”中办理；逾期未办的申请会被删除。",
                  "Open or decline them; what nobody looks at is deleted in the end."),
        link="/city/registrations",
        dedupe=f"registrations:{today}",
    )  # fmt: skip


def _ownerless(key: str, name: str, org: str) -> Notice:
    return Notice(
        kind="identity.ownerless",
        title=Text(f"“{name}”已没有负责人", f"{name} has no owner any more"),
        body=Text("其唯一成员已注销。请邀请一名新负责人；机构已终止的，请冻结后办理清算移交。",
                  "Its only member was erased. Invite a new owner, or freeze it and hand over what it left."),
        severity=Severity.WARNING,
        link=f"/city/accounts/{org}",
        dedupe=f"ownerless:{key}",
    )  # fmt: skip


def _invitation(key: str, org: str, person: UUID) -> Notice:
    return Notice(
        kind="identity.member",
        title=Text(f"“{org}”邀请您成为成员", f"{org} invites you to become a member"),
        body=Text(
            "请在设置中接受或谢绝；接受之前，该机构与您互不产生任何权限。",
            "Accept or decline in your settings; until you accept, neither has any right of the other's.",
        ),
        person_id=person,
        link="/settings#invitations",
        dedupe=f"invited:{key}",
    )


async def _name(identity: Identity, org_id: UUID) -> str:
    try:
        return (await identity.orgs.get(org_id)).name
    except Unknown:
        return "—"

"""What identity refuses, with what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from shanhe.kernel.errors import Conflict, Forbidden, Invalid, NotFound, TooMany, Unauthorized
from shanhe.kernel.words import PERMISSIONS_ZH, field_en, field_zh


class InvalidKey(Unauthorized):
    """No such API key, or no key at all."""

    def __init__(self) -> None:
        super().__init__(
            "invalid_api_key",
            "The API key is not one of this city's.",
            message_zh="API 密钥无效。",
            hint="Copy the whole key (sk-sh-…), or make a new one on the keys page.",
            hint_zh="请复制完整的密钥（sk-sh-…），或在密钥页面新建。",
        )


class KeyRevoked(Unauthorized):
    def __init__(self) -> None:
        super().__init__(
            "api_key_revoked",
            "This API key was revoked.",
            message_zh="该 API 密钥已被吊销。",
            hint="Use another key of your organisation, or make a new one.",
            hint_zh="请使用其他密钥或新建密钥。",
        )


class KeyExpired(Unauthorized):
    def __init__(self, at: datetime | None = None) -> None:
        super().__init__(
            "api_key_expired",
            "This API key has expired.",
            message_zh="该 API 密钥已过期。",
            hint="Make a new key, or rotate keys before they expire.",
            hint_zh="请新建密钥，或在到期前轮换。",
            details={"expired_at": at.isoformat()} if at else None,
        )


class KeyMade(Conflict):
    """The same form or request again; the token was in the first answer."""

    def __init__(self) -> None:
        super().__init__(
            "key_made",
            "This key was made already; its token was shown then, once.",
            message_zh="该密钥已创建，完整密钥仅在创建时显示一次。",
            hint="If nobody noted it, revoke it on the keys page and make another.",
            hint_zh="如未记下，请在密钥页面吊销后重新创建。",
        )


class OrgFrozen(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "organisation_frozen",
            "The organisation of this key is frozen; its keys cannot spend.",
            message_zh="该密钥所属机构已被冻结，密钥不能消费。",
            hint="Ask the city's operator why and how to lift it.",
            hint_zh="请联系运营方了解原因与解冻方式。",
        )


class SignInFailed(Unauthorized):
    """One answer for every wrong login, password, code or passkey, so that it tells nothing."""

    def __init__(self) -> None:
        super().__init__(
            "sign_in_failed",
            "Login, password or code is wrong.",
            message_zh="登录名、密码或验证码不正确。",
            hint="Check for typing errors; after several failures the account waits before the next try.",
            hint_zh="请检查输入；多次失败后需等待一段时间。",
        )


class CodeWrong(SignInFailed):
    """The code alone: asked of whoever has proved their password, or is setting the application up."""

    def __init__(self) -> None:
        Unauthorized.__init__(
            self,
            "code_wrong",
            "The code is wrong.",
            message_zh="验证码不正确。",
            hint="Enter what the application shows now; if it stays wrong, let the phone set its clock by itself.",
            hint_zh="请输入验证器应用当前显示的数字；若仍不对，请把手机时间设为自动校准。",
        )


class PasswordWrong(SignInFailed):
    """Their own password, asked of somebody who is signed in."""

    def __init__(self) -> None:
        Unauthorized.__init__(
            self,
            "password_wrong",
            "The password is wrong; nothing was done.",
            message_zh="密码不正确，未做任何更改。",
            hint="Check for typing errors; after several failures the account waits before the next try.",
            hint_zh="请检查输入；多次失败后需等待一段时间。",
        )


class SignInAgain(SignInFailed):
    """What a password would confirm, asked of somebody who has none and signed in a while ago."""

    def __init__(self) -> None:
        Unauthorized.__init__(
            self,
            "sign_in_again",
            "This needs a sign-in of the last ten minutes; nothing was done.",
            message_zh="此操作要求在最近十分钟内登录，未做任何更改。",
            hint="Sign out, sign in once more, and do it then; or set a password, which is asked for instead.",
            hint_zh="请退出并重新登录后再操作；设置密码后将改为核对密码。",
        )


class RegistrationOff(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "registration_off",
            "Nobody can register in this city right now.",
            message_zh="本市暂不开放自助注册。",
            hint="Ask at the city's service counter for an account.",
            hint_zh="请到政务服务窗口开通账户。",
        )


class RegistrationKnown(Conflict):
    """The id is another registration's, or the password isn't the one it was made with."""

    def __init__(self) -> None:
        super().__init__(
            "registration_known",
            "This form was sent before, with another password; nothing was done.",
            message_zh="该表单此前已提交过，且密码不同；未做任何更改。",
            hint="Sign in, or open the page again to register anew.",
            hint_zh="请直接登录，或重新打开注册页面。",
        )


class RegistrationOver(Conflict):
    """What is left of it is that it was."""

    def __init__(self) -> None:
        super().__init__(
            "registration_over",
            "This registration was declined or ran out; its data is erased.",
            message_zh="该注册申请未获通过或逾期未办，相关信息已删除。",
            hint="Whoever still wants an account registers anew.",
            hint_zh="如仍需开通账户，请重新打开注册页面办理。",
        )


class RegistrationWaiting(Forbidden):
    """Told only to who has the password."""

    def __init__(self) -> None:
        super().__init__(
            "registration_waiting",
            "This account waits to be looked at by an officer.",
            message_zh="该账户正在等待工作人员审核。",
            hint="You can sign in as soon as it is opened; try again later.",
            hint_zh="审核通过后即可登录，请稍后再试。",
        )


class OrgTakesNobody(Conflict):
    """A frozen organisation, whoever asks or is asked."""

    def __init__(self) -> None:
        super().__init__(
            "organisation_frozen",
            "This organisation is frozen; nobody becomes a member until it is released.",
            message_zh="该机构已被冻结，解冻之前不能邀请或加入成员。",
            hint="Ask the city's operator why and how to lift it; the owner invites again afterwards.",
            hint_zh="请联系运营方了解原因；解冻后由负责人重新邀请。",
        )


class InvitationOver(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "invitation_over",
            "This invitation was answered, taken back or has run out.",
            message_zh="该邀请已处理、已撤回或已过期。",
            hint="Ask the organisation's owner to invite you again.",
            hint_zh="如需加入，请联系该机构负责人重新邀请。",
        )


class SignInLocked(TooMany):
    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            "sign_in_locked",
            f"Too many attempts; the next one is possible in {retry_after_s} s.",
            message_zh=f"尝试次数过多，请在 {retry_after_s} 秒后重试。",
            retry_after_s=retry_after_s,
        )


class SessionMissing(Unauthorized):
    def __init__(self) -> None:
        super().__init__(
            "not_signed_in",
            "This needs a signed-in person or an API key with the right permissions.",
            message_zh="请先登录，或使用具有相应权限的 API 密钥。",
            hint="Sign in again; sessions end after some hours without use.",
            hint_zh="请重新登录；会话闲置数小时后会失效。",
        )


class SecondFactorNeeded(Unauthorized):
    """The password was right; `stage` says whether to give the second factor or to set one up."""

    def __init__(self, stage: str) -> None:
        super().__init__(
            "second_factor_needed",
            "Sign-in is not complete: the second factor is missing.",
            message_zh="登录尚未完成：缺少第二重验证。",
            details={"stage": stage},
            hint="Give the code or use the passkey; set one up first when the stage is `enrol`.",
            hint_zh="请输入验证码或使用通行密钥；若尚未设置，请先设置。",
        )


class CsrfFailed(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "csrf_failed",
            "The request does not carry this session's token.",
            message_zh="请求缺少会话令牌。",
            hint="Reload the page; programs send the token in the x-csrf-token header or use an API key.",
            hint_zh="请刷新页面；程序可在 x-csrf-token 头中携带令牌，或使用 API 密钥。",
        )


class CrossSite(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "cross_site",
            "Signing in from another site's page is refused.",
            message_zh="拒绝来自其他网站的登录请求。",
        )


class PermissionMissing(Forbidden):
    def __init__(self, permission: str) -> None:
        super().__init__(
            "permission_missing",
            f"This needs the permission `{permission}`.",
            message_zh=f"需要“{PERMISSIONS_ZH.get(permission, permission)}”权限。",
            hint="Ask an owner of your organisation or the city's administrator.",
            hint_zh="请联系机构负责人或城市管理员。",
            details={"permission": permission},
        )


class HasAnOwner(Conflict):
    """Nobody acts for an organisation by an office of the city's: not by naming its people, not by a key of it."""

    def __init__(self) -> None:
        super().__init__(
            "has_an_owner", "It has an owner, who names whoever else is to act for it and makes its keys.",
            message_zh="该机构已有负责人，成员与密钥由负责人办理。",
            hint="Ask its owner; an operator may limit or revoke its keys, or freeze it.",
            hint_zh="请联系其负责人；运营人员可限制、吊销其密钥或冻结该机构。",
        )  # fmt: skip


class OwnCase(Forbidden):
    """Nobody decides for the city about themselves, or makes themselves part of an organisation by an office."""

    def __init__(self) -> None:
        super().__init__(
            "own_case",
            "This is about yourself or an organisation of yours; somebody else decides it.",
            message_zh="事涉本人或本人所在机构，须由其他工作人员办理。",
            hint="Ask another operator.",
            hint_zh="请由另一名工作人员办理。",
        )


class Unknown(NotFound):
    """Not there, or another tenant's: the two look the same."""

    def __init__(self, what: str, what_zh: str, *, hint: str = "", hint_zh: str = "") -> None:
        super().__init__(
            "not_found", f"There is no such {what}.", message_zh=f"没有这个{what_zh}。", hint=hint, hint_zh=hint_zh
        )


class BadText(Invalid):
    def __init__(self, field: str, why: str, why_zh: str) -> None:
        super().__init__("bad_text", f"{field_en(field)}: {why}.", message_zh=f"{field_zh(field)}：{why_zh}。",
                         details={"field": field})  # fmt: skip


class Taken(Conflict):
    def __init__(self, what: str, what_zh: str) -> None:
        super().__init__(
            "taken", f"This {what} is in use already.", message_zh=f"该{what_zh}已被使用。", details={"field": what}
        )


class LastOfItsKind(Conflict):
    def __init__(self, what: str, what_zh: str, hint: str = "", hint_zh: str = "") -> None:
        super().__init__(
            "last_one", f"This is the last {what}; name another first.",
            message_zh=f"这是最后一个{what_zh}，请先指定另一个。", hint=hint, hint_zh=hint_zh,
        )  # fmt: skip


class LastOwner(LastOfItsKind):
    """Whoever leaves an organisation that ends with them has another way."""

    def __init__(self) -> None:
        super().__init__(
            "owner", "负责人",
            "Make a member an owner on the page Members. If the organisation itself ends, ask the operator: it is "
            "frozen, and what is left passes to its successors.",
            "可在“成员”页把一名成员设为负责人；机构本身终止的，请联系运营方：冻结后，剩余积分由继受方承接。",
        )  # fmt: skip


class OwnsAlone(Conflict):
    """Erasing the only owner of an organisation in which others could take over."""

    def __init__(self, names: Sequence[str]) -> None:
        zh, en = "、".join(names), ", ".join(names)
        super().__init__(
            "last_owner",
            f"Nobody else owns {en}, which has other members: it would be left without an owner.",
            message_zh=f"{zh}还有其他成员，但没有其他负责人，注销后将无人管理。",
            hint="Make one of the members an owner first; then erase.",
            hint_zh="请先在成员页面将一名成员设为负责人，再注销。",
        )


class TooManyOfThem(Conflict):
    def __init__(self, what: str, limit: int) -> None:
        super().__init__(
            "too_many", f"There are {limit} {what} already; remove one first.", message_zh=f"数量已达上限 {limit}。"
        )


class LeavesBehind(Conflict):
    """Somebody is to be removed who made things that go on, and nobody said what becomes of them."""

    def __init__(self, count: int) -> None:
        super().__init__(
            "leaves_behind",
            f"This member made {count} things here that go on without them, with secrets that they know.",
            message_zh=f"该成员在本机构创建的 {count} 项内容在其离开后仍会继续运行，且其知晓相应密钥。",
            hint="Say what becomes of them: take (you have them, with new secrets), end, or later (they stay listed).",
            hint_zh="请选择处理方式：take（由您接管并更换密钥）、end（终止）或 later（稍后处理，保留在清单中）。",
            details={"left": count},
        )


class TakesOwn(Conflict):
    """Somebody who goes wants to take over what they made themselves."""

    def __init__(self) -> None:
        super().__init__(
            "takes_own",
            "Whoever goes can't take over what they made.",
            message_zh="退出机构的人不能接管自己创建的内容。",
            hint="Say end, or later: the owners who stay take it over or end it.",
            hint_zh="请选择 end（终止）或 later（稍后处理），由留下的负责人接管或终止。",
        )


class OidcFailed(Unauthorized):
    """The identity provider's answer was refused, or it could not be reached."""

    def __init__(self, why: str, *, status: int = 401) -> None:
        super().__init__(
            "oidc_failed",
            f"Sign-in through the identity provider failed: {why}.",
            message_zh="通过身份提供方登录失败。",
            hint="Start again from the sign-in page.",
            hint_zh="请从登录页重新开始。",
            status=status,
        )


class UnknownPurpose(NotFound):
    def __init__(self, purpose: str) -> None:
        super().__init__(
            "unknown_purpose",
            f"Personal data is not used for {purpose[:80]!r} here.",
            message_zh=f"本市没有“{purpose[:80]}”这一处理目的。",
            hint="GET /api/privacy/purposes lists every purpose with its notice.",
            hint_zh="GET /api/privacy/purposes 列出全部处理目的与告知内容。",
        )


class PurposeRefused(Forbidden):
    """Personal data was asked for without consent or another ground, or for something the purpose is not for."""

    def __init__(self, purpose: str, why: str, why_zh: str) -> None:
        super().__init__(
            "purpose_refused",
            f"This person's data can't be read for {purpose}: {why}.",
            message_zh=f"不能为“{purpose}”读取此人的信息：{why_zh}。",
            hint="Ask the person for consent on the page “My data”, or do without.",
            hint_zh="请由本人在“我的数据”页面同意，或改用不需要该信息的方式。",
            details={"purpose": purpose},
        )


class ConsentNeedsMore(Invalid):
    """A consent that would not count: another notice is in force, or sensitive data needs one of its own."""

    def __init__(self, why: str, why_zh: str) -> None:
        super().__init__(
            "consent_needs_more",
            f"This would be no valid consent: {why}.",
            message_zh=f"该同意不符合要求：{why_zh}。",
            hint="Read the notice in force and consent to exactly that.",
            hint_zh="请阅读当前告知内容后，对该内容单独表示同意。",
        )

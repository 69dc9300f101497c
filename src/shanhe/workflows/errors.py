"""What can go wrong with workflows, said so that one can act on it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shanhe.kernel.clock import CITY_TZ
from shanhe.kernel.errors import Conflict, Forbidden, Invalid, NotFound, ShanheError, TooMany, Unauthorized

if TYPE_CHECKING:
    from shanhe.workflows.model import Uses


class UnknownWorkflow(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown_workflow", f"There is no workflow {name[:80]!r} of yours.",
            message_zh=f"没有名为“{name[:80]}”的工作流，或不属于您。",
            hint="GET /api/workflows lists them.", hint_zh="GET /api/workflows 列出全部工作流。",
        )  # fmt: skip


class UnknownWork(NotFound):
    """A run, an approval or a webhook that isn't there."""

    def __init__(self, what: str, zh: str) -> None:
        super().__init__(
            "unknown_workflow_part", f"There is no such {what} of yours.", message_zh=f"没有该{zh}，或不属于您。"
        )


class BadDefinition(Invalid):
    """A definition can't run; `details` says every reason with its node."""

    def __init__(self, problems: Sequence[tuple[str, str, str, str]]) -> None:
        first = problems[0]
        super().__init__(
            "bad_workflow",
            f"The workflow can't run: {first[3]}" + (f" (and {len(problems) - 1} more)." if problems[1:] else "."),
            message_zh=f"工作流无法运行：{first[2]}" + (f"（另有 {len(problems) - 1} 处）。" if problems[1:] else "。"),
            hint="POST /api/workflows/check lists every reason with its node.",
            hint_zh="POST /api/workflows/check 逐条列出原因与所在节点。",
            details={"problems": [{"node": n, "code": code, "zh": zh, "en": en} for n, code, zh, en in problems]},
        )  # fmt: skip


class BadTrigger(Invalid):
    def __init__(self, en: str, zh: str) -> None:
        super().__init__("bad_workflow_trigger", f"{en}.", message_zh=f"{zh}。")


class NotPublished(Conflict):
    def __init__(self, slug: str) -> None:
        super().__init__(
            "workflow_not_published", f"{slug} has no published version.", message_zh=f"{slug} 尚无已发布版本。",
            hint="Publish its draft first, or run the draft by naming it.",
            hint_zh="请先发布草稿，或在运行时指明使用草稿。",
        )  # fmt: skip


class DraftChanged(Conflict):
    """Somebody wrote since the text that is being changed was read."""

    def __init__(self, by: str, at: datetime) -> None:
        when = at.astimezone(CITY_TZ)
        super().__init__(
            "workflow_changed", f"Somebody else saved this draft at {when:%H:%M:%S}; yours is not saved yet.",
            message_zh=f"草稿已于 {when:%H:%M:%S} 被另一处保存，您的修改尚未保存。",
            hint="Look at theirs first, or save again to put yours in its place.",
            hint_zh="可先查看对方的草稿；再次保存将以您的内容替换。", details={"by": by, "at": at.isoformat()},
        )  # fmt: skip


class SlugTaken(Conflict):
    def __init__(self, slug: str) -> None:
        super().__init__(
            "workflow_name_taken", f"You already have a workflow {slug!r}.", message_zh=f"您已有名为“{slug}”的工作流。",
            hint="Choose another name.", hint_zh="请换一个名称。",
        )  # fmt: skip


class HookTaken(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "webhook_taken", "This id is another webhook's.", message_zh="该编号已属于其他 Webhook。",
            hint="Send a new id, or none.", hint_zh="请更换编号，或不填编号。",
        )  # fmt: skip


class AlreadyDecided(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "approval_decided", "Somebody has already decided this, or its time is over.",
            message_zh="该审批已有人处理，或已过期。",
        )  # fmt: skip


class NotYourApproval(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "not_your_approval", "This waits for somebody else's word.", message_zh="该审批不由您处理。",
            hint="Only the person or role that the step names may decide it, signed in.",
            hint_zh="只有节点指定的人员或角色登录后方可审批。",
        )  # fmt: skip


class BadSignature(Unauthorized):
    def __init__(self, en: str, zh: str) -> None:
        super().__init__(
            "bad_webhook_signature", f"The call was not accepted: {en}.", message_zh=f"未接受该调用：{zh}。",
            hint="Sign `id.timestamp.body` with HMAC-SHA256 as the page on workflows describes.",
            hint_zh="请按文档以 HMAC-SHA256 对“编号.时间.正文”签名。",
        )  # fmt: skip


class TooManyStarts(TooMany):
    def __init__(self, most: int, per: str, zh: str) -> None:
        super().__init__(
            "too_many_workflow_runs", f"At most {most} runs {per}.", message_zh=f"{zh}最多 {most} 次运行。",
            hint="Try again shortly.", hint_zh="请稍后再试。", retry_after_s=60,
        )  # fmt: skip


class WorkflowInUse(Conflict):
    def __init__(self, slug: str, uses: Uses) -> None:
        told = [
            (uses.workflows, f"steps of {', '.join(uses.workflows)}", f"作为节点用于 {'、'.join(uses.workflows)}"),
            (uses.scheduled, "a schedule", "定时启动"),
            (uses.hooks, f"{uses.hooks} webhooks", f"{uses.hooks} 个 Webhook"),
            (uses.runs, f"{uses.runs} open runs", f"{uses.runs} 个未结束的运行"),
        ]  # fmt: skip
        super().__init__(
            "workflow_in_use", f"{slug} is still used: {'; '.join(en for any_, en, _ in told if any_)}.",
            message_zh=f"工作流 {slug} 仍在使用：{'；'.join(zh for any_, _, zh in told if any_)}。",
            hint="Take it out there first, or delete it all the same (`anyway`): open runs are cancelled.",
            hint_zh="请先在上述各处移除，或确认仍要删除（anyway），未结束的运行将被取消。",
            details={"workflows": uses.workflows, "scheduled": uses.scheduled, "hooks": uses.hooks, "runs": uses.runs},
        )  # fmt: skip


class StepFailed(ShanheError):
    """A step that ends its run; the steps before it stay paid."""

    default_status = 422

    def __init__(self, code: str, en: str, zh: str, **details: Any) -> None:
        super().__init__(code, f"{en}.", message_zh=f"{zh}。", details=details or None)

"""What can go wrong in the studio."""

from __future__ import annotations

from shanhe.kernel.errors import Conflict, Invalid, NotFound, ShanheError, TooMany
from shanhe.kernel.words import en, zh


class UnknownJob(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown_job", f"There is no job {name}.", message_zh=f"没有任务 {name}。",
            hint="`shanhe studio jobs` lists them.", hint_zh="用 `shanhe studio jobs` 查看。",
        )  # fmt: skip


class UnknownMade(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown_made_model", f"No model {name!r} came out of the studio.",
            message_zh=f"工坊没有产出模型 {name!r}。", hint="`shanhe studio models` lists them.",
            hint_zh="用 `shanhe studio models` 查看。",
        )  # fmt: skip


class BadRecipe(Invalid):
    def __init__(self, why: str, why_zh: str) -> None:
        super().__init__(
            "bad_recipe", f"The recipe can't be run: {why}.", message_zh=f"配方无法运行：{why_zh}。",
            hint="See the page on the studio for what a recipe may say.", hint_zh="配方的要求见文档。",
        )  # fmt: skip


class NameOfAnother(Conflict):
    def __init__(self, name: str) -> None:
        super().__init__(
            "model_name_taken", f"The name {name!r} belongs to another model of this city.",
            message_zh=f"名称 {name!r} 已属于其他模型。", hint="Choose another name.", hint_zh="请换一个名称。",
        )  # fmt: skip


class TooFewLessons(Invalid):
    def __init__(self, least: int) -> None:
        super().__init__(
            "too_few_lessons", f"Training needs at least {least} pairs, and questions to evaluate with.",
            message_zh=f"训练至少需要 {least} 个样本，并须有评测题。", hint="Import more rows.", hint_zh="请补充数据。",
        )  # fmt: skip


class TooManyJobs(TooMany):
    def __init__(self, most: int) -> None:
        super().__init__(
            "studio_queue", f"{most} jobs of this organisation wait or run already.",
            message_zh=f"本机构已有 {most} 个任务在排队或运行。", retry_after_s=60,
            hint="Wait until one ends, or cancel one.", hint_zh="请等待或取消一个任务。",
        )  # fmt: skip


class JobNotResumable(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "job_not_resumable", f"Only a job that failed or was cancelled can go on; it is {en(state)}.",
            message_zh=f"只有失败或已取消的任务可以继续，该任务状态为“{zh(state)}”。",
            hint="Wait for it, or order a new one.", hint_zh="请等待其结束，或新建任务。",
        )  # fmt: skip


class JobEnded(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__("job_ended", f"The job is {en(state)} already.", message_zh=f"任务已结束（{zh(state)}）。")


class NotDeployable(Conflict):
    def __init__(self, why: str, why_zh: str) -> None:
        super().__init__(
            "not_deployable", f"This model can't be deployed: {why}.", message_zh=f"该模型无法部署：{why_zh}。"
        )


class StepFailed(ShanheError):
    """A step's process ended without a result; `reason` is what it said last."""

    default_status = 500

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(
            code, f"The step failed: {reason}", message_zh=f"步骤失败：{reason}",
            hint="The log of the job has more; what was done before is kept, and is not paid for twice.",
            hint_zh="详见任务日志；已完成的步骤会保留，不会重复计费。",
        )  # fmt: skip


class BadModelFile(Invalid):
    """A model file that is broken or made to do harm."""

    def __init__(self, why: str) -> None:
        super().__init__(
            "bad_model_file", f"The model file can't be trusted: {why}.", message_zh=f"模型文件不可信：{why}。",
            hint="Only whole GGUF files are taken; nothing that is pickled ever is.",
            hint_zh="仅接受完整的 GGUF 文件，绝不接受 pickle。",
        )  # fmt: skip

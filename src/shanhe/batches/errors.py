"""What can go wrong with files and batches, before any line is run."""

from __future__ import annotations

from shanhe.kernel.errors import Conflict, Invalid, NotFound, ShanheError, TooMany, Unavailable
from shanhe.kernel.words import zh


class UnknownFile(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            "file_not_found", f"No such File object: {name[:80]}", message_zh="没有该文件，或已过期。",
            hint="GET /v1/files lists the files of this organisation.", hint_zh="GET /v1/files 可查看本机构的文件。",
        )  # fmt: skip


class UnknownBatch(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            "batch_not_found", f"No batch found with id '{name[:80]}'.", message_zh="没有该批量任务。",
            hint="GET /v1/batches lists the batches of this organisation.", hint_zh="GET /v1/batches 可查看批量任务。",
        )  # fmt: skip


class BadUpload(ShanheError):
    """The upload is no file that can be kept; 400 as the protocol has it."""

    def __init__(self, reason: str, reason_zh: str) -> None:
        super().__init__(
            "invalid_file", f"The upload can't be used: {reason}.", message_zh=f"上传内容不可用：{reason_zh}。",
            hint="Send multipart/form-data with the fields purpose and file.",
            hint_zh="请以 multipart/form-data 提交 purpose 与 file 字段。",
        )  # fmt: skip


class BadBatch(ShanheError):
    """The order for a batch can't be taken; 400 as the protocol has it."""

    def __init__(self, code: str, reason: str, reason_zh: str) -> None:
        super().__init__(
            code, f"The batch can't be made: {reason}.", message_zh=f"无法创建批量任务：{reason_zh}。",
            hint="See the page on batches for what a batch may be.", hint_zh="批量任务的要求见文档。",
        )  # fmt: skip


class TooManyFiles(TooMany):
    def __init__(self, most: str) -> None:
        super().__init__(
            "file_quota", f"This organisation keeps as many files as it may ({most}).",
            message_zh=f"本机构保存的文件已达上限（{most}）。", retry_after_s=60,
            hint="Delete files that are no longer needed.", hint_zh="请删除不再需要的文件。",
        )  # fmt: skip


class TooManyBatches(TooMany):
    def __init__(self, most: int) -> None:
        super().__init__(
            "batch_quota", f"{most} batches of this organisation are open already.",
            message_zh=f"本机构已有 {most} 个批量任务未完成。", retry_after_s=60,
            hint="Wait until one ends, or cancel one.", hint_zh="请等待其中一个完成，或取消一个。",
        )  # fmt: skip


class FileInUse(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "file_in_use", "A batch that has not ended reads this file.",
            message_zh="有未结束的批量任务正在使用该文件。",
            hint="Cancel the batch, or wait until it ends.", hint_zh="请取消该任务，或等待其结束。",
        )  # fmt: skip


class BatchEnded(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "batch_ended",
            f"Cannot cancel a batch with status '{state}'.",
            message_zh=f"状态为“{zh(state)}”的任务无法取消。",
        )


class NotThisTime(Invalid):
    """The line is somebody else's by now; its answer must not be kept or charged."""

    def __init__(self) -> None:
        super().__init__("line_taken", "Another process works on this line.", message_zh="该行已由其他进程处理。")


class NotKept(Unavailable):
    """There is no room for an answer, or the database is away: the line is run again, and nothing is charged."""

    def __init__(self) -> None:
        super().__init__(
            "not_kept", "The answer could not be kept; the line will be run again.",
            message_zh="答案暂时无法保存，该行稍后重新执行。", retry_after_s=60,
        )  # fmt: skip

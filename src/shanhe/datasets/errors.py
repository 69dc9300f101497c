"""What can go wrong with data sets."""

from __future__ import annotations

from shanhe.kernel.errors import Conflict, Invalid, NotFound, TooMany


class UnknownDataset(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown_dataset", f"There is no data set {name[:80]!r}.", message_zh=f"没有数据集 {name[:80]!r}。",
            hint="`shanhe datasets list` shows them.", hint_zh="用 `shanhe datasets list` 查看。",
        )  # fmt: skip


class UnreadableFile(Invalid):
    """The upload can't be read as rows; says where and why."""

    def __init__(self, why: str, why_zh: str) -> None:
        super().__init__(
            "unreadable_file", f"The file can't be read: {why}.", message_zh=f"文件无法读取：{why_zh}。",
            hint="Send JSONL, CSV (UTF-8 or GBK), XLSX, DOCX, PDF, a picture or plain text.",
            hint_zh="请提供 JSONL、CSV（UTF-8 或 GBK）、XLSX、DOCX、PDF、图片或纯文本。",
        )  # fmt: skip


class WrongColumns(Invalid):
    """The table lacks what this form of data set needs."""

    def __init__(self, form: str, missing: list[str], found: list[str]) -> None:
        names, there = ", ".join(missing), ", ".join(found[:20])
        super().__init__(
            "wrong_columns", f"A data set of the form {form} needs the columns {names}; the file has {there}.",
            message_zh=f"{form} 类数据集缺少列：{names}；文件中有：{there}。",
            hint="Name the columns so, or their Chinese names: 问题 回答 错误做法 正确做法 原因 文本.",
            hint_zh="请使用这些列名，或中文列名：问题 回答 错误做法 正确做法 原因 文本。",
        )  # fmt: skip


class NothingLeft(Invalid):
    def __init__(self) -> None:
        super().__init__(
            "nothing_left", "No row is left after cleaning.", message_zh="清洗后没有剩余的行。",
            hint="Ask for less: the report tells what each step would drop.",
            hint_zh="请放宽条件；报告说明每一步删除了什么。",
        )  # fmt: skip


class NameTaken(Conflict):
    def __init__(self, name: str) -> None:
        super().__init__(
            "dataset_exists", f"There is a data set {name!r} already.", message_zh=f"已有名为 {name!r} 的数据集。",
            hint="Import into it (a new version), or choose another name.", hint_zh="可导入为其新版本，或换一个名称。",
        )  # fmt: skip


class RowsForgotten(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "rows_forgotten", "The rows of this version were deleted.", message_zh="该版本的数据行已删除。",
            hint="Use another version.", hint_zh="请使用其他版本。",
        )  # fmt: skip


class PersonalDataInside(Conflict):
    """Training on personal data needs the consent of whom it is about."""

    def __init__(self, findings: int) -> None:
        super().__init__(
            "personal_data",
            f"{findings} pieces of personal data are in this version, and nobody's consent is recorded.",
            message_zh=f"该版本含有 {findings} 处个人信息，且未登记本人同意。",
            hint="Clean it with personal data masked, and train on that version.",
            hint_zh="请先清洗（遮盖个人信息），再使用清洗后的版本。",
        )  # fmt: skip


class TooManyDatasets(TooMany):
    def __init__(self, most: int) -> None:
        super().__init__(
            "dataset_quota", f"An organisation has at most {most} data sets.",
            message_zh=f"每个机构最多 {most} 个数据集。", retry_after_s=60,
            hint="Archive those no longer needed.", hint_zh="请归档不再需要的数据集。",
        )  # fmt: skip

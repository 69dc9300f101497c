"""What can go wrong with the log, in words for a person."""

from __future__ import annotations

from uuid import UUID

from shanhe.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable


class ProofRefused(Invalid):
    """A proof, checkpoint or key that does not hold; `why` says which check failed."""

    def __init__(self, why: str, why_zh: str) -> None:
        super().__init__(
            "proof_refused",
            f"Not valid: {why}.",
            message_zh=f"验证不通过：{why_zh}。",
            hint="Get the file again from where it was issued; one changed character is enough to refuse it.",
            hint_zh="请重新获取原文件；改动一个字符即无法通过验证。",
        )


class NotSealedYet(NotFound):
    """Booked or recorded, and not yet under a signed checkpoint."""

    def __init__(self, subject: UUID) -> None:
        super().__init__(
            "not_sealed_yet",
            f"{subject} is not under a signed checkpoint yet.",
            message_zh="该记录尚未封存到透明日志。",
            hint="Sealing follows within seconds; `shanhe log status` shows how far it is.",
            hint_zh="封存通常在数秒内完成；`shanhe log status` 可查看进度。",
        )


class UnknownEntry(NotFound):
    """Neither a posting nor a recorded entry has this id."""

    def __init__(self, subject: UUID) -> None:
        super().__init__(
            "unknown_entry",
            f"The log knows nothing called {subject}.",
            message_zh="透明日志中没有该编号的记录。",
            hint="Use the id of a receipt, a posting or a recorded decision.",
            hint_zh="请使用凭据、分录或决定的编号。",
        )


class OpeningErased(NotFound):
    """The salt was shredded: the entry stays, what it hid can no longer be shown."""

    def __init__(self, subject: UUID) -> None:
        super().__init__(
            "opening_erased",
            f"What the log hides of {subject} was erased; its entry stays and says nothing of anybody.",
            message_zh="该记录的隐藏部分已被清除；日志条目仍在，但不再指向任何人。",
            hint="A proof file issued before still verifies, for whoever kept it.",
            hint_zh="此前签发的证明文件仍可验证。",
        )


class LogRewound(Conflict):
    """The database holds less, or something else, than was signed: signing on would fork the log."""

    def __init__(self, signed: int, held: int, why: str = "") -> None:
        detail = why or f"it holds {held} entries"
        super().__init__(
            "log_rewound",
            f"The log has signed {signed} entries, and the database does not match: {detail}. Nothing is signed.",
            message_zh=f"日志已签发 {signed} 条，与数据库不符，已停止签发。",
            hint="A database restored from a backup looks like this. `shanhe log recover` takes the missing entries "
            "back from the tiles; with --from from a mirror.",
            hint_zh="数据库从备份恢复后会出现此情况。请运行 `shanhe log recover`，"
            "从日志文件（或用 --from 从镜像）取回缺失条目。",
        )


class LogMoved(Conflict):
    """The database lies on another server than the one whose entries were signed: restored, or moved."""

    def __init__(self) -> None:
        super().__init__(
            "log_moved",
            "The database was restored or moved to another server. Others may have seen newer entries than it has: "
            "nothing is signed.",
            message_zh="数据库已恢复或迁移到另一台服务器；他人可能见过更新的日志条目，已停止签发。",
            hint="Run `shanhe log recover --from MIRROR` with a mirror's or witness's copy of the log; without --from "
            "where nobody keeps one.",
            hint_zh="请运行 `shanhe log recover --from 镜像`，指定镜像或见证人保存的日志；无任何副本时可不带 --from。",
        )


class WitnessAsked(Conflict):
    """Going on alone although others follow the log."""

    def __init__(self, witnesses: int) -> None:
        super().__init__(
            "witness_needed",
            f"{witnesses} witnesses follow this log and may have seen more than the restored database has.",
            message_zh=f"有 {witnesses} 位见证人在跟踪本日志，他们见过的条目可能多于恢复后的数据库。",
            hint="Name what they hold with --from (a mirror's address or a copied folder), or say --alone when they "
            "have seen nothing newer: otherwise they will hold proof of two histories.",
            hint_zh="请用 --from 指定其副本（镜像地址或目录）；若确认他们没有见过更新内容，可用 --alone，"
            "否则他们会持有两份不同历史的证据。",
        )


class FeedRewound(Conflict):
    """The ledger's transaction counter is behind the log's cursor: another server, or a logical restore."""

    def __init__(self) -> None:
        super().__init__(
            "feed_rewound",
            "The database's transactions count from an earlier number than the log has read: it was moved to another "
            "server. Nothing is sealed.",
            message_zh="数据库的事务编号早于日志读取位置：可能已迁移到另一台服务器，已停止封存。",
            hint="Run `shanhe log recover`: it reads the ledger again from the start and seals only what is missing.",
            hint_zh="请运行 `shanhe log recover`：它会重新读取账本，只封存缺失部分。",
        )


class NotLeader(Unavailable):
    """Another process seals now, or this one was fenced off."""

    def __init__(self) -> None:
        super().__init__(
            "not_the_sealer",
            "Another process seals the log now.",
            message_zh="当前由另一个进程封存日志。",
            hint="Wait for it; its lease ends within a minute after it died.",
            hint_zh="请等待；若该进程已退出，其租约一分钟内到期。",
        )


class UnknownWitness(Forbidden):
    """A cosignature from a key that the city does not list."""

    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown_witness",
            f"The city does not list a witness {name!r} with this key.",
            message_zh="该见证人未登记。",
            hint="An operator adds it with: shanhe log witnesses --add VKEY",
            hint_zh="请运营方登记：shanhe log witnesses --add VKEY",
        )


class UnknownCheckpoint(NotFound):
    """A cosignature for a checkpoint that is no longer kept."""

    def __init__(self, size: int) -> None:
        super().__init__(
            "unknown_checkpoint",
            f"The checkpoint of {size} entries is no longer kept.",
            message_zh="该检查点已不再保留。",
            hint="Cosign the newest one: /log/checkpoint.",
            hint_zh="请副署最新检查点：/log/checkpoint。",
        )


class BadEntry(Invalid):
    """An entry that cannot be recorded."""

    def __init__(self, why: str) -> None:
        super().__init__("bad_log_entry", f"This cannot be recorded: {why}.", message_zh="该内容无法记入透明日志。")

"""What can go wrong on the board, said so that one can act on it."""

from __future__ import annotations

from shanhe.kernel import words
from shanhe.kernel.errors import Conflict, Invalid, NotFound


class UnknownPost(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_post", "There is no such need or solution, or it is not shown any more.",
            message_zh="没有该需求或方案，或其已不再公示。",
            hint="GET /api/board/posts lists what stands on the board.",
            hint_zh="GET /api/board/posts 列出现有需求与方案。",
        )  # fmt: skip


class UnknownMatch(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_match", "There is no such match of yours.", message_zh="没有该对接，或您不是其中一方。"
        )


class BadPost(Invalid):
    """A field is not in order."""

    def __init__(self, field: str, en: str, zh: str) -> None:
        super().__init__("bad_post", f"{field}: {en}.", message_zh=f"{zh}。", details={"field": field})


class BadMatch(Invalid):
    def __init__(self, en: str, zh: str) -> None:
        super().__init__("bad_match", f"{en}.", message_zh=f"{zh}。")


class PostTaken(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "post_taken", "This id already belongs to another post.", message_zh="该编号已被使用。",
            hint="Send a new id, or change the post that has it.", hint_zh="请换用新编号，或修改原有条目。",
        )  # fmt: skip


class WrongPostState(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "post_state", f"This post is {words.en(state)}; that can't be done to it.",
            message_zh=f"该条目目前为“{words.zh(state)}”，不能进行此操作。",
            hint="A matched need is settled; post a new one.", hint_zh="已对接的需求不再更改，请另行发布。",
        )  # fmt: skip


class TooManyPosts(Conflict):
    def __init__(self, most: int) -> None:
        super().__init__(
            "too_many_posts", f"An organisation has at most {most} posts that are not over.",
            message_zh=f"一个主体未结束的条目不超过 {most} 条。",
            hint="Withdraw one that is no longer needed.", hint_zh="请先撤下不再需要的条目。",
        )  # fmt: skip


class BoardFull(Conflict):
    def __init__(self, most: int) -> None:
        super().__init__(
            "board_full", f"The board holds {most} posts of a kind.", message_zh=f"公示板每类最多 {most} 条。",
            hint="Publish it later; drafts are kept.", hint_zh="请稍后再发布；草稿会保留。",
        )  # fmt: skip


class OwnPost(Invalid):
    def __init__(self) -> None:
        super().__init__(
            "own_post", "Need and solution are of the same organisation; it takes two to match.",
            message_zh="需求与方案同属一个主体，不能对接。",
        )  # fmt: skip


class AlreadyMeeting(Conflict):
    def __init__(self, match: object) -> None:
        super().__init__(
            "already_meeting", "The two are in touch about this already.", message_zh="双方已就此建立对接。",
            hint=f"Go on in the match {match}.", hint_zh=f"请在对接 {match} 中继续。", details={"match": str(match)},
        )  # fmt: skip


class WrongMatchState(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "match_state", f"This match is {words.en(state)}; that can't be done any more.",
            message_zh=f"该对接目前为“{words.zh(state)}”，不能进行此操作。",
            hint="Look at it again; what ended can be begun anew while both posts are open.",
            hint_zh="请刷新查看；双方条目仍公示时可重新发起。",
        )  # fmt: skip


class OfferChanged(Conflict):
    def __init__(self, round_: int) -> None:
        super().__init__(
            "offer_changed", f"Another offer stands now, number {round_}; nothing was accepted.",
            message_zh=f"现行报价已变为第 {round_} 版，未作任何确认。",
            hint="Read it and accept it by its number.", hint_zh="请阅读新报价后按其编号确认。",
        )  # fmt: skip


class TooManyMatches(Conflict):
    def __init__(self, most: int) -> None:
        super().__init__(
            "too_many_matches", f"A post has at most {most} open matches, a match at most so many words.",
            message_zh=f"一个条目同时进行的对接、一次对接的往来均不超过 {most} 次。",
            hint="Decline or withdraw some first.", hint_zh="请先婉拒或撤回部分对接。",
        )  # fmt: skip

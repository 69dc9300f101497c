"""What can go wrong with a call, in the words of both protocols."""

from __future__ import annotations

from typing import Final

from shanhe.kernel.errors import Invalid
from shanhe.kernel.words import CALLS_ZH

OPENAI_TYPE: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    409: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
ANTHROPIC_TYPE: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    409: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


class CallError(Exception):
    """A call refused or broken off: HTTP status, stable code, text for a person, and when to try again. `zh`: the same
    in Chinese, where it is for a person to mend; people read it in programs, in whichever language is theirs."""

    def __init__(
        self, status: int, code: str, message: str, zh: str = "", *, param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.zh = zh
        self.param = param
        self.retry_after_s = retry_after_s

    @property
    def message_zh(self) -> str:
        """For pages in Chinese; programs read `message`."""
        return CALLS_ZH.get(self.code, "调用被拒绝或中断") + "。"

    @property
    def openai_message(self) -> str:
        """The text in the OpenAI protocol."""
        return f"{self.message} {self.zh}".rstrip()

    @property
    def anthropic_message(self) -> str:
        """The text in the Anthropic protocol, whose clients act on some of its wordings."""
        return self.openai_message

    @property
    def openai_type(self) -> str:
        return OPENAI_TYPE.get(self.status, "server_error")

    @property
    def anthropic_type(self) -> str:
        return ANTHROPIC_TYPE.get(self.status, "api_error")


class ChargedLater(CallError):
    """What was delivered can't be charged now, and will be."""


class TooLong(CallError):
    """A prompt and its answer don't fit the model's context; in the words by which clients of either protocol know to
    shorten one of the two and to try again."""

    def __init__(self, prompt_tokens: int, answer_tokens: int, context_tokens: int) -> None:
        text = (
            f"This model's maximum context length is {context_tokens} tokens. However, you requested"
            f" {prompt_tokens + answer_tokens} tokens ({prompt_tokens} in the messages, {answer_tokens} in the"
            " completion). Please reduce the length of the messages or completion."
        )
        super().__init__(400, "context_length_exceeded", text, param="messages")
        self._told = prompt_tokens, answer_tokens, context_tokens

    @property
    def anthropic_message(self) -> str:
        prompt, answer, context = self._told
        if prompt >= context:
            return f"prompt is too long: {prompt} tokens > {context} maximum"
        sum_ = f"{prompt} + {answer} > {context}"
        return f"input length and `max_tokens` exceed context limit: {sum_}, decrease input length or `max_tokens`"


def invalid(message: str, param: str | None = None, code: str = "invalid_value") -> CallError:
    """A 400 that names the field at fault."""
    return CallError(400, code, message, param=param)


class TooMuchUsage(Invalid):
    def __init__(self, most: int) -> None:
        super().__init__(
            "too_much_usage", f"There are more than {most} sums of usage in that time.",
            message_zh=f"该区间内的用量汇总超过 {most} 条。", hint="Ask for a shorter time; part of it would mislead.",
            hint_zh="请缩短区间；只算一部分会误导。",
        )  # fmt: skip


class TagsOfOne(Invalid):
    def __init__(self) -> None:
        super().__init__(
            "tags_of_one", "Tags are one organisation's own words; they are not summed across organisations.",
            message_zh="标签是各机构自己的用语，不跨机构汇总。", hint="Name one organisation.",
            hint_zh="请指定一个机构。",
        )  # fmt: skip

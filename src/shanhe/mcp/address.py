"""Where publishers' servers may be: https to public addresses, resolved once and then connected to by number.

A name that resolves to the city's own networks (loopback, private, link-local, metadata services) is refused, and since
the connection goes to the address that was looked at, a name can't change its mind in between.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from shanhe.mcp.errors import BadServer

URL_MAX_CHARS: Final = 500
RESOLVE_LIMIT_S: Final = 5.0
TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")
PUBLIC: Final = ipaddress.IPv6Network("2000::/3")
"""What of IPv6 is given out as global unicast (RFC 4291). All else is somebody's own, or says IPv4 in another way."""
PLATFORM: Final = frozenset({ipaddress.IPv4Address("168.63.129.16")})
"""Looks public, and is the machine's own cloud: Azure's WireServer."""


def checked_url(url: str, *, private: bool) -> str:
    """The address as it is kept; BadServer for one that no publisher's server may have."""
    if len(url) > URL_MAX_CHARS or not url.isascii() or re.search(r"[\s\x00-\x1f\x7f\\]", url):
        raise BadServer("its address is too long or holds signs an address may not hold", "地址过长或含有非法字符")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise BadServer("its address can't be read", "地址无法解析") from error
    if parts.scheme != "https" and not (private and parts.scheme == "http"):
        raise BadServer("its address must begin with https://", "地址须以 https:// 开头")
    if not parts.hostname or parts.username is not None or parts.password is not None or parts.fragment:
        raise BadServer(
            "its address needs a host, and no user name or fragment", "地址须含主机名，且不得含用户名或片段"
        )
    return url


async def resolve(host: str, port: int, *, private: bool) -> str:
    """The number to connect to; BadServer when any of the name's addresses is one of the city's own."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_LIMIT_S):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError) as error:  # the last: of a part that is empty or too long
        raise BadServer(f"{host} can't be resolved", f"{host} 无法解析") from error
    numbers = [str(entry[4][0]).partition("%")[0] for entry in found]
    if not private:
        refuse_own(host, numbers)
    return numbers[0]


def refuse_own(host: str, numbers: Sequence[str]) -> None:
    """BadServer unless every address is a public one."""
    for number in numbers:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(number)
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address.sixtofour or _translated(address) or address
        own = address.version == 6 and address not in PUBLIC
        if own or address in PLATFORM or not address.is_global or address.is_multicast:
            raise BadServer(f"{host} is not a public address", f"{host} 不是公网地址")


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """What a network that translates (RFC 6052) would connect to."""
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in TRANSLATED else None

"""One gateway process: `python -m shanhe.worker NAME --fd LISTENER`. Started by the supervisor, ends with it."""

from __future__ import annotations

import argparse
import socket

import uvloop

from shanhe.kernel import logs
from shanhe.kernel.process import collect_seldom, die_with_parent, when_asked_to_end
from shanhe.settings import Settings


async def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve on `listener` until SIGTERM, then finish what runs and close everything in order."""
    from shanhe import serving
    from shanhe.app import open_services
    from shanhe.web import create_app

    async with open_services(settings, "gateway") as services:
        server = serving.build(create_app(services), services.gateway.app, trusted_proxies=settings.trusted_proxies)

        def stop() -> None:
            server.should_exit = True

        when_asked_to_end(stop)
        collect_seldom()
        await server.serve(sockets=[listener])


def main() -> None:
    collect_seldom()
    parser = argparse.ArgumentParser(prog="shanhe.worker")
    parser.add_argument("name")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    given = parser.parse_args()
    die_with_parent(given.parent)
    settings = Settings.from_environment()
    logs.configure(settings.log_level, as_json=settings.log_json, worker=settings.worker)
    uvloop.run(serve(settings, socket.socket(fileno=given.fd)))


if __name__ == "__main__":
    main()

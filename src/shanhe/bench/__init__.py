"""Measurements anybody can repeat: the gateway beside a bare reverse proxy and two other AI gateways, in one run.

`python -m shanhe.bench.gateway` installs the contenders into a cache folder, points all of them at the same instant
upstream, loads them with wrk in interleaved rounds and writes `docs/bench.md` and its JSON twin.
"""

"""Compute: models, the engines that serve them, their health, and what their tokens cost.

Offers a routing table that the gateway reads without waiting (`Compute.route`), a circuit breaker and a bounded queue
for each engine, supervised llama.cpp children on UNIX sockets, model cards with verified downloads, and dated prices
computed by the pricing rule.
"""

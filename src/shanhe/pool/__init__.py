"""The compute pool: machines that anybody lends to the city, and what keeps them honest.

A node's agent keeps one outbound tunnel to the city; calls are streamed down it. The pool knows every node's owner,
state and measured speed, places models on nodes, checks their answers against engines it trusts, and withholds the
income of one that cheats. A node is an engine of `compute`, so the gateway routes, meters and settles it like any
other.
"""

"""The store: agents, MCP servers, models, data sets and prompts that makers offer, reviewed, priced, rated and ranked.

A listing has versions; one that is approved is what callers get, and its terms (markup, fee, makers, rights) become
what the gateway splits every call by. The store keeps what is offered; others run it.
"""

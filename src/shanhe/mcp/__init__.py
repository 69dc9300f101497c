"""The tool gateway: publishers' MCP servers behind one door, and the city itself as an MCP server.

Tools are those a reviewed listing allows, called within timeouts and quotas, metered by call at the listing's fee, with
the publisher's secrets added here and never shown. What was called, by whom and how it went is kept; what was said is
not.
"""

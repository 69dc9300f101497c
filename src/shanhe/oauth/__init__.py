"""OAuth 2.1 for apps that act for a person at `/mcp`: registration, consent, short-lived tokens bound to one address.

A grant is an API key nobody ever sees: what the person allowed (organisation, server, budget a day) is the key's own
scope, and whoever revokes the key ends the app's access. Tokens are random, kept as hashes, refreshed by rotation.
"""

"""How modules meet: each file hands the module it is named after what that asks of its peers, as functions.

Peers never import one another. `app` opens these in order; nothing here decides an amount or keeps a table.
"""

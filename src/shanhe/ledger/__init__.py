"""Everything of value in the city, by double entry: accounts, postings, lots with provenance, holds and leases.

Offers (through `shanhe.ledger.api`): durable, idempotent postings by group commit; admission of a call without waiting
for the disk (leases) and its settlement; statements, trial balance, period close; `verify`, which recomputes every
invariant from the transfers.
"""

"""The transparency log: what the city booked and decided, in a tree that anybody can check and nobody can rewrite.

Offers (through `shanhe.log.api`): `record`, by which any module hands in an entry inside its own transaction; sealing,
which turns accepted postings and entries into tiles and a signed checkpoint (C2SP tlog-tiles, tlog-checkpoint); proofs
(`.tlog-proof`) that verify without the city; witnesses that cosign; erasure of what an entry hides, with every proof of
others left valid.
"""

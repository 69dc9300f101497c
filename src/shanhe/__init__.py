"""Shanhe: pooled compute behind one API, metered and settled on a double-entry ledger by dated rules."""

__version__ = "0.1.0"

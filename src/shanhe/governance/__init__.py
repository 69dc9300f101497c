"""Governance: how rules change and major matters are decided, and whether the city's strategy comes true.

A proposal is discussed, voted along the path of its matter, announced, open to a veto, and takes effect; a rule through
the rulebook's own amendments. Beside it: the scorecard, projects that must repay, reviews of rules, and overdue work.
"""

"""Reconciliation: the meter, engines' own counters, the ledger, payments and institutions' statements, compared.

Each night for the day before, and on demand. A difference is a row with both figures, an owner and a state; where money
is concerned it is posted to a named suspense account. Nothing is corrected in passing: an operator resolves each one.
"""

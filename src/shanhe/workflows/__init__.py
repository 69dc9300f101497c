"""Workflows: what an organisation has the city do in an order, as data. Every step is bounded and paid once.

A run is a row that any gateway process can take up where another left it; a call of a model inside it is an ordinary
paid call, a wait for a person costs nothing, and nothing goes beyond the run's steps, time and budget.
"""

"""Programmes: every promise of the city as data beside its rule, run by one engine.

A programme says who may apply, with what evidence, by which rule, on whose review, in what instalments, from which
budget. An application moves through logged states; an award is a list of tranches, and a tranche becomes one
posting, or none.
"""

"""Every number and formula of the city as dated data.

A rule is one YAML file: titles, article, parameters with dated values, a formula in a small closed language, examples.
One syntax tree becomes an evaluator that explains itself, a fast scalar function and a numpy kernel; the three agree to
the unit. Enter through `shanhe.rulebook.api`.
"""

"""Facts: what is known of people and organisations, dated, with its source, for rules to decide on.

A fact is a row that is never changed: a correction is a later row of the same series. Read with two dates like a rule:
the day it is about, and the instant by which it was known. What is personal is sealed with the person's own key.
"""

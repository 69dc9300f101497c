"""Getting credits: purchase with the resident discount, operator top-up, automatic top-up, spend alerts, notices.

Every amount is a decision of the rulebook, stored with its trace before any money moves; a paid order becomes exactly
one balanced posting, and a crash anywhere between is repaired by a job that repeats idempotent steps.
"""

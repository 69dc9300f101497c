"""The enterprise content hub (B10): product text, service scripts and the like, drafted by the city's models.

A company chooses what to write and fills a short form; each draft is one call of a model, paid by the city while free
uses are left this month and by the company's own credits after it agreed. What was written is looked through for words
that the advertising law forbids, personal data and numbers that nobody gave, and leaves with its label.
"""

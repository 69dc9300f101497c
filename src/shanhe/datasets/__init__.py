"""Data sets as governed objects: imported with licence and consent, cleaned, versioned by content, followed to models.

A data set belongs to an organisation. Each version is a file of rows named by its hash, with a report of its quality
and the recipe that made it out of its parent. Personal data is found before anybody trains on it.
"""

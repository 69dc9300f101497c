"""Nomads: days present, proved and counted without a track; the digital nomad ID as a card; what it opens at venues.

A day is proved by a venue's rotating signed code, a clerk, or a feed, and counts once. Rules N1–N3 decide about the
card, N4–N8 about tickets, courses, vouchers and stays; whatever is used up is a posting.
"""

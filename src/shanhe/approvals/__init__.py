"""What needs somebody else's word: recorded approvals of authorities (the regulatory gate) and four-eyes requests.

A gate answers one question: may this scope move real money on this day? A four-eyes request waits, with an end, for the
decision of a second person; the database refuses that both are the same.
"""

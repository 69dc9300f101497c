"""Privacy: what people can see, take along, correct, refuse and have erased, and what the city must be able to show.

Consents are identity's ledger and facts are read through a guarded reader; here are the guard, the record of every
reading, people's requests, their own copy, impact assessments, and the end of what is kept too long (PIPL).
"""

"""Who is who and who may do what: people (encrypted), organisations, roles, API keys, sign-in, consent, audit.

Enter by `shanhe.identity.api`. A person's data is sealed with a key of that person's own, kept outside PostgreSQL;
what is looked up has a blind index. API keys and sessions are stored as hashes only.
"""

"""What one begins with: agents and workflows that come with the city as files, copied into drafts of one's own.

See `api` for what other modules may use.
"""

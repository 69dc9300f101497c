"""Credentials: what the city vouches for, as SD-JWT VCs verified offline, with rotating keys and a status list.

The holder decides what is disclosed. The token is kept sealed with the holder's own key; in the clear there is only
what a status list needs.
"""

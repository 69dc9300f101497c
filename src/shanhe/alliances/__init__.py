"""Alliances (T14): companies that build applications together, by consent of each.

Three members that are strangers to each other open the group discount at purchase; what a member shares, the others may
learn from for as long as both are members.
"""

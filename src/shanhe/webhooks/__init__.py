"""What happens to an organisation, told to its own systems: signed webhooks, or robots of WeCom, DingTalk, Feishu.

Every notice of an organisation becomes one delivery for each of its addresses that wants that kind, in the order of
notices but without waiting for each other. A delivery is tried until it was taken, for about three days, and can be
sent again; an address that takes nothing for that long is switched off and its owners are told.
"""

"""The API that speaks OpenAI's and Anthropic's protocols, meters every token and settles every call.

A call runs `authenticate → price → admit → route → stream → meter → capture → receipt`. What was measured and decided
is kept as evidence on the ledger posting that paid for it: the receipt *is* the posting.
"""

"""The bounded credit exchange: orders with escrow, one deterministic book, call auctions or continuous matching.

Accepted order events form a journal; the book, its trades and its canonical bytes follow from the journal alone. Every
trade settles as one balanced posting of delivery against payment. Without a regulator's recorded approval everything
here is play: play credits, play cash, and every page says so.
"""

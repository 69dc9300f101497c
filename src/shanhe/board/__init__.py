"""The board on which needs of the economy meet solutions of research, found both ways and said why.

A post belongs to an organisation, or to a person as an organisation of one. What fits it is ranked by words (BM25), by
meaning (embeddings, where the owner has them made) and by plain reasons, all of which are shown. Two parties come to
terms by offers that both accept; then rule T10 rewards both through the programme engine, once.
"""

"""Knowledge bases: documents read within bounds, cut into passages with their place, found again by words and meaning.

A base belongs to an organisation and says who may read it; the database itself answers nobody else. What comes back
carries document, page and box. Where nothing supports an answer, that is the answer. Embeddings and answers are
ordinary paid calls through the gateway.
"""

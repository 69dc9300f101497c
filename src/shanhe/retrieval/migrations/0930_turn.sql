-- What waits to be read, of each base the oldest first: whose turn it is is asked each time a document is begun.
CREATE INDEX CONCURRENTLY document_turn ON retrieval.document (base_id, made_at, id)
  WHERE state IN ('waiting', 'reading', 'embedding');

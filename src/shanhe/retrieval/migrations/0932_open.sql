-- `document_turn` finds what this one found.
DROP INDEX retrieval.document_open;

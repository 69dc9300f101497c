-- Postings that are no calls, by kind and time: a hundredth of all, and looked for among the others.
CREATE INDEX CONCURRENTLY posting_kind ON ledger.posting (kind, at) WHERE kind <> 'call';

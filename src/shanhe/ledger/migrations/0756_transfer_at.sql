-- Transfers by when they were booked, at next to no cost: they lie in that order.
CREATE INDEX CONCURRENTLY transfer_at ON ledger.transfer USING brin (at) WITH (autosummarize = on);

-- The feed's order as an index. The summaries by ranges of pages were made now and then, and until then every page of the feed
-- read all that had been booked since; in this order a page is where the last one ended, however many are booked at once.
CREATE INDEX posting_feed ON ledger.posting (born, id);
DROP INDEX ledger.posting_born;
DROP FUNCTION ledger.feed(bigint, uuid, bigint, int);
DROP FUNCTION ledger.feed_one(uuid);

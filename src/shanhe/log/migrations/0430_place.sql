-- Where the database lay when its entries were last known to continue what was signed: a restored or moved one lies
-- elsewhere, and signs nothing before `shanhe log recover` has looked what others have seen. NULL: not noted yet.
ALTER TABLE log.head ADD COLUMN place text CHECK (octet_length(place) BETWEEN 1 AND 64);

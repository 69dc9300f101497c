-- A trade is marked as settled where it lies: no index knows of the mark, and its page has room for the row that has it.
-- `settled`: every trade of the events up to this one is; what is not lies behind it.
ALTER TABLE exchange.matcher ADD COLUMN settled bigint NOT NULL DEFAULT 0;
UPDATE exchange.matcher m SET settled = coalesce(
  (SELECT min(t.seq) - 1 FROM exchange.trade t WHERE t.market = m.market AND t.settled_at IS NULL), m.seq);
DROP INDEX exchange.trade_unsettled;
ALTER TABLE exchange.trade SET (fillfactor = 45);

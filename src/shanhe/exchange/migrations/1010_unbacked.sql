-- An order behind which too little is set aside is ended, and whose it is is told so; a trade of one that was made all the
-- same is void: nothing moves for it, and nobody waits for it.
ALTER TABLE exchange.orders DROP CONSTRAINT orders_state_check;
ALTER TABLE exchange.orders ADD CONSTRAINT orders_state_check CHECK (state IN (
  'open', 'filled', 'cancelled', 'expired', 'self_trade', 'market_closed', 'stopped', 'frozen', 'disputed',
  'unbacked')) NOT VALID;
ALTER TABLE exchange.trade ADD COLUMN void_at timestamptz;
DROP TRIGGER settles_once ON exchange.trade;
CREATE TRIGGER settles_once BEFORE UPDATE ON exchange.trade FOR EACH ROW
  WHEN (OLD.settled_at IS NOT NULL OR OLD.void_at IS NOT NULL OR num_nonnulls(NEW.settled_at, NEW.void_at) <> 1
        OR (OLD.id, OLD.market, OLD.seq, OLD.n, OLD.at, OLD.buy, OLD.sell, OLD.quantity, OLD.ticks, OLD.cash_fen, OLD.fee_fen)
           IS DISTINCT FROM
           (NEW.id, NEW.market, NEW.seq, NEW.n, NEW.at, NEW.buy, NEW.sell, NEW.quantity, NEW.ticks, NEW.cash_fen, NEW.fee_fen))
  EXECUTE FUNCTION exchange.guard_trade();

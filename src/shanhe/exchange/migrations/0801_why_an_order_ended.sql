-- Whose order an operator ended, or ended with its frozen organisation, is told so.
ALTER TABLE exchange.orders DROP CONSTRAINT orders_state_check;
ALTER TABLE exchange.orders ADD CONSTRAINT orders_state_check CHECK (state IN (
  'open', 'filled', 'cancelled', 'expired', 'self_trade', 'market_closed', 'stopped', 'frozen', 'disputed'));

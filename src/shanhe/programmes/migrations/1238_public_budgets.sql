-- What a budget has promised and paid: two of them are public, and whoever comes may ask.
CREATE INDEX CONCURRENTLY payment_budget ON programmes.payment (budget);

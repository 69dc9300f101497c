-- What a statement says of itself: the days it covers, when its lines begin and end, the balances before and after them,
-- and which statements had some of its lines before. So what is missing between two of them can be told.
ALTER TABLE payments.bank_file
  ADD COLUMN since date, ADD COLUMN until date, ADD COLUMN first_at timestamptz, ADD COLUMN last_at timestamptz,
  ADD COLUMN opening_fen bigint, ADD COLUMN closing_fen bigint, ADD COLUMN repeats text[] NOT NULL DEFAULT '{}';
ALTER TABLE payments.bank_file ADD CONSTRAINT bank_file_days
  CHECK ((since IS NULL) = (first_at IS NULL) AND (until IS NULL) = (last_at IS NULL) AND first_at <= last_at);

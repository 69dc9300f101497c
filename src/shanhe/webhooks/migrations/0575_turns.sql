-- A secret of the standard form is one of a row of them: which, and since when.
ALTER TABLE webhooks.endpoint ADD COLUMN turn integer NOT NULL DEFAULT 0 CHECK (turn >= 0);
ALTER TABLE webhooks.endpoint ADD COLUMN turned_at timestamptz;

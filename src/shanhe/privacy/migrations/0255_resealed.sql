-- How far texts that were written before their columns were sealed have been sealed, by table.
CREATE TABLE privacy.resealed (
  place   text PRIMARY KEY,
  go_on   text[],                              -- the key of the last row looked at
  rows    bigint NOT NULL CHECK (rows >= 0),   -- sealed until now
  done_at timestamptz
);

-- A database that came out of a backup, until `shanhe log recover` has looked what others have seen of the log. A restore
-- makes this table by these very words: a backup from before them signs as little as any other.
CREATE TABLE IF NOT EXISTS kernel.restored (
  one    boolean PRIMARY KEY DEFAULT true CHECK (one),
  backup text NOT NULL CHECK (octet_length(backup) BETWEEN 1 AND 64),
  at     timestamptz NOT NULL
);

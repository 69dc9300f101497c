-- A fingerprint of the keys that this database's personal data is sealed with: another folder of keys is noticed at a
-- start, not by the first person whom nobody can read.
CREATE TABLE identity.vault_mark (
  one  boolean PRIMARY KEY DEFAULT true CHECK (one),
  mark bytea NOT NULL CHECK (octet_length(mark) = 16)
);

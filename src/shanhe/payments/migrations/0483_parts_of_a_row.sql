-- What is left of a row's money may be used more than once, and each rest is an item of its own: a second one of a kind was
-- taken for the first one and forgotten.
ALTER TABLE payments.suspense ADD COLUMN part smallint NOT NULL DEFAULT 0 CHECK (part >= 0);
ALTER TABLE payments.suspense DROP CONSTRAINT suspense_file_hash_row_kind_key;
ALTER TABLE payments.suspense ADD CONSTRAINT suspense_part UNIQUE (file_hash, row, kind, part);

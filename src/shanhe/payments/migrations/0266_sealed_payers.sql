-- Who paid, as a statement names them, is sealed with a key of the line; a keyed hash of the name finds an erased person's.
ALTER TABLE payments.bank_line ADD COLUMN payer_index bytea;
CREATE INDEX bank_line_payer ON payments.bank_line (payer_index) WHERE payer_index IS NOT NULL;

-- What is sent again leaves with the bank's batch file as well, once: in which, to which account, and who made the file.
ALTER TABLE payments.bank_outgoing ADD COLUMN batch uuid, ADD COLUMN payee_id uuid REFERENCES payments.payee,
  ADD COLUMN sent_by text;
ALTER TABLE payments.bank_outgoing ADD CONSTRAINT bank_outgoing_batch
  CHECK ((batch IS NULL) = (payee_id IS NULL) AND (batch IS NULL) = (sent_by IS NULL) AND (batch IS NULL OR kind = 'resend'));
CREATE INDEX bank_outgoing_batch ON payments.bank_outgoing (batch) WHERE batch IS NOT NULL;

-- What people write on invoices and disputes is sealed with their key, in the same columns; the application checks the texts.
ALTER TABLE credits.invoice DROP CONSTRAINT invoice_title_check, DROP CONSTRAINT invoice_tax_number_check;
ALTER TABLE credits.invoice ADD CONSTRAINT invoice_title_check CHECK (length(title) BETWEEN 1 AND 4000);
ALTER TABLE credits.invoice ADD CONSTRAINT invoice_tax_number_check
  CHECK (tax_number ~ '^([0-9A-Z]{15,20})?$' OR starts_with(tax_number, E'\x1e'));
ALTER TABLE credits.dispute DROP CONSTRAINT dispute_reason_check, DROP CONSTRAINT dispute_evidence_check;
ALTER TABLE credits.dispute ADD CONSTRAINT dispute_reason_check CHECK (length(reason) BETWEEN 1 AND 4000);
ALTER TABLE credits.dispute ADD CONSTRAINT dispute_evidence_check CHECK (length(evidence) <= 40000);

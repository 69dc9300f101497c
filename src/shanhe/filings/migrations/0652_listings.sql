-- A complaint is about an output, by its receipt, or about a listing of the store, by its name: whose name is taken has bought nothing.
ALTER TABLE filings.complaint ALTER COLUMN receipt_id DROP NOT NULL;
ALTER TABLE filings.complaint ADD CONSTRAINT complaint_about CHECK (receipt_id IS NOT NULL OR model ~ '^[a-z]{2,10}/[a-z0-9-]{1,63}$');

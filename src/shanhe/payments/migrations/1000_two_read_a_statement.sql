-- A statement that somebody uploaded waits here, sealed with a key of its own, until a second person agreed or did not;
-- then it is deleted. What was asked for and decided is an approvals.request.
CREATE TABLE payments.bank_held (
  hash    text PRIMARY KEY CHECK (length(hash) = 64),
  key     uuid NOT NULL UNIQUE,
  name    text NOT NULL,
  content bytea NOT NULL CHECK (octet_length(content) <= 1100000),
  held_at timestamptz NOT NULL
);

-- Statements of before were taken in by one person, which their rows go on saying.
ALTER TABLE payments.bank_file ADD COLUMN agreed_by text;
ALTER TABLE payments.bank_file ADD CONSTRAINT bank_file_two
  CHECK (agreed_by IS NOT NULL AND agreed_by <> '' AND agreed_by <> uploaded_by) NOT VALID;
SELECT kernel.watch('payments.bank_file', 'encoding, uploaded_by, agreed_by');

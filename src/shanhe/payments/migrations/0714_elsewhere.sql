-- A transfer with one of our references that the bank sent to another account than its payee's waits for two people.
ALTER TABLE payments.bank_line ADD COLUMN elsewhere boolean NOT NULL DEFAULT false;
ALTER TABLE payments.suspense DROP CONSTRAINT suspense_kind_check;
ALTER TABLE payments.suspense ADD CONSTRAINT suspense_kind_check
  CHECK (kind IN ('unknown_reference', 'late', 'over', 'under', 'outgoing', 'came_back', 'elsewhere'));

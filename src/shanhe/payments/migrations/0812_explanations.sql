-- One line of a statement may be the sum of several postings, each of which explains one line.
CREATE TABLE payments.explanation (
  posting_id  uuid PRIMARY KEY,
  suspense_id uuid NOT NULL REFERENCES payments.suspense
);
INSERT INTO payments.explanation SELECT explained_by, id FROM payments.suspense WHERE explained_by IS NOT NULL;
CREATE INDEX explanation_item ON payments.explanation (suspense_id);
ALTER TABLE payments.suspense DROP COLUMN explained_by;
SELECT kernel.watch('payments.explanation');

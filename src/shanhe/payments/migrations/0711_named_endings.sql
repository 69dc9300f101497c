-- An item that the books have already names the posting that has it, once; what is booked says as what.
ALTER TABLE payments.suspense ADD COLUMN explained_by uuid, ADD COLUMN booked_as text;
UPDATE payments.suspense SET booked_as = CASE WHEN outgoing THEN 'charges' ELSE 'interest' END WHERE state = 'booked';
ALTER TABLE payments.suspense ADD CONSTRAINT suspense_explained CHECK (explained_by IS NULL OR state = 'explained');
ALTER TABLE payments.suspense ADD CONSTRAINT suspense_booked CHECK ((booked_as IS NOT NULL) = (state = 'booked'));
ALTER TABLE payments.suspense DROP CONSTRAINT suspense_fee;
ALTER TABLE payments.suspense ADD CONSTRAINT suspense_fee
  CHECK (fee_fen >= 0 AND (fee_fen = 0 OR state IN ('resent', 'booked')) AND (state <> 'resent' OR NOT outgoing)
         AND (fee_fen = 0 OR NOT outgoing));
CREATE UNIQUE INDEX suspense_explained_by ON payments.suspense (explained_by) WHERE explained_by IS NOT NULL;
SELECT kernel.watch('payments.suspense', 'kind, state, owner, decided_by, assigned_by, booked_as');

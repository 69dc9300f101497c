-- Who named the owner of money in suspense, who wrote a payout into the bank's file, and who said how it ended: a clerk,
-- or what saw it (the channel, the bank's statement). '' is from before it was recorded.
ALTER TABLE payments.suspense ADD COLUMN assigned_by text;
ALTER TABLE payments.payout ADD COLUMN sent_by text, ADD COLUMN ended_by text;
UPDATE payments.payout SET ended_by = ''
 WHERE state IN ('returning', 'confirmed', 'failed', 'refused', 'cancelled');
ALTER TABLE payments.payout ADD CONSTRAINT payout_ended_by_somebody
  CHECK (state NOT IN ('returning', 'confirmed', 'failed', 'refused', 'cancelled') OR ended_by IS NOT NULL);

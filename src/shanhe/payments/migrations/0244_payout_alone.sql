-- Both approvals of a payout by one person, under an opening of break-glass that the row names; never by who asked for it.
ALTER TABLE payments.payout ADD COLUMN glass uuid;
DO $$
DECLARE found text;
BEGIN
  SELECT conname INTO STRICT found FROM pg_constraint
   WHERE conrelid = 'payments.payout'::regclass AND contype = 'c'
     AND pg_get_constraintdef(oid) LIKE '%first_by <> second_by%';
  EXECUTE format('ALTER TABLE payments.payout DROP CONSTRAINT %I', found);
END $$;
ALTER TABLE payments.payout ADD CONSTRAINT payout_two_people CHECK (first_by <> second_by OR glass IS NOT NULL);

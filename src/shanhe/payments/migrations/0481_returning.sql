-- What a channel is about to send is marked before it is asked, so that nobody says meanwhile that it did not leave.
-- What came back is marked before its posting is reversed, and has failed once it is, so that nobody confirms it meanwhile.
-- A crash in between leaves a row that goes on.
ALTER TABLE payments.payout DROP CONSTRAINT payout_state_check;
ALTER TABLE payments.payout ADD CONSTRAINT payout_state_check
  CHECK (state IN ('review', 'requested', 'first', 'approving', 'approved', 'sending', 'sent', 'returning',
                   'confirmed', 'failed', 'refused', 'cancelled'));
ALTER TABLE payments.payout ADD CONSTRAINT payout_moving_was_booked
  CHECK (state NOT IN ('sending', 'returning') OR (net_fen = gross_fen - withheld_fen AND channel IS NOT NULL));

CREATE OR REPLACE FUNCTION payments.guard_payout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
    ('review', 'requested'), ('review', 'refused'), ('review', 'cancelled'),
    ('requested', 'first'), ('requested', 'refused'), ('requested', 'cancelled'),
    ('first', 'approving'), ('first', 'refused'), ('first', 'cancelled'),
    ('approving', 'approved'), ('approving', 'refused'),
    ('approved', 'sending'), ('sending', 'sent'), ('sending', 'returning'),
    ('approved', 'sent'), ('approved', 'confirmed'), ('approved', 'returning'),
    ('sent', 'confirmed'), ('sent', 'returning'), ('returning', 'failed')
  ) THEN
    RAISE EXCEPTION 'payout % cannot go from % to %', OLD.id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
  END IF;
  IF (NEW.org_id, NEW.client_ref, NEW.payee_id, NEW.amount_micro, NEW.subsidy_micro, NEW.posting_id)
     IS DISTINCT FROM (OLD.org_id, OLD.client_ref, OLD.payee_id, OLD.amount_micro, OLD.subsidy_micro, OLD.posting_id)
     OR (OLD.net_fen IS NOT NULL AND (NEW.gross_fen, NEW.withheld_fen, NEW.net_fen, NEW.lots, NEW.lot_amounts)
         IS DISTINCT FROM (OLD.gross_fen, OLD.withheld_fen, OLD.net_fen, OLD.lots, OLD.lot_amounts)) THEN
    RAISE EXCEPTION 'payout %: content is immutable', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;

DROP INDEX payments.payout_moving;
CREATE INDEX payout_moving ON payments.payout (id) WHERE state IN ('approving', 'approved', 'sending', 'sent', 'returning');

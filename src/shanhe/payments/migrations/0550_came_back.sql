-- A payout that was paid may still come back: the bank returns it days later, and the statement says so.
CREATE OR REPLACE FUNCTION payments.guard_payout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
    ('review', 'requested'), ('review', 'refused'), ('review', 'cancelled'),
    ('requested', 'first'), ('requested', 'refused'), ('requested', 'cancelled'),
    ('first', 'approving'), ('first', 'refused'), ('first', 'cancelled'),
    ('approving', 'approved'), ('approving', 'refused'),
    ('approved', 'sending'), ('sending', 'sent'), ('sending', 'returning'),
    ('approved', 'sent'), ('approved', 'confirmed'), ('approved', 'returning'),
    ('sent', 'confirmed'), ('sent', 'returning'), ('confirmed', 'returning'), ('returning', 'failed')
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

-- The bank's files are listed, so that one that was lost on its way is downloaded again.
CREATE INDEX payout_batch ON payments.payout (batch) WHERE batch IS NOT NULL;

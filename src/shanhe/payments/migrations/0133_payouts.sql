-- Income of makers turned into cash. Names and account numbers are sealed with the key of the person who gave them.
CREATE TABLE payments.payee (
  id            uuid PRIMARY KEY,
  org_id        uuid NOT NULL,
  person_id     uuid NOT NULL,
  kind          text NOT NULL CHECK (kind IN ('person', 'organisation')),
  holder        bytea NOT NULL,
  account       bytea NOT NULL,
  account_index bytea NOT NULL,
  last4         text NOT NULL,
  bank          text NOT NULL,
  state         text NOT NULL CHECK (state IN ('unchecked', 'passed', 'failed', 'retired')),
  checked_by    text,
  check_ref     text,
  checked_at    timestamptz,
  created_at    timestamptz NOT NULL
);
CREATE UNIQUE INDEX payee_current ON payments.payee (org_id) WHERE state <> 'retired';

CREATE TABLE payments.payout (
  id           uuid PRIMARY KEY,
  org_id       uuid NOT NULL,
  client_ref   text NOT NULL CHECK (length(client_ref) BETWEEN 1 AND 128),
  payee_id     uuid NOT NULL REFERENCES payments.payee,
  amount_micro bigint NOT NULL CHECK (amount_micro > 0),
  subsidy_micro bigint NOT NULL CHECK (subsidy_micro BETWEEN 0 AND amount_micro),
  state        text NOT NULL CHECK (state IN ('review', 'requested', 'first', 'approving', 'approved', 'sent', 'confirmed',
                                              'failed', 'refused', 'cancelled')),
  channel      text,
  gross_fen    bigint CHECK (gross_fen > 0),
  withheld_fen bigint CHECK (withheld_fen >= 0),
  net_fen      bigint CHECK (net_fen > 0),
  trace        jsonb,
  rule_version text,
  lots         uuid[],
  lot_amounts  bigint[],
  posting_id   uuid NOT NULL UNIQUE,
  reference    text UNIQUE,
  batch        uuid,
  requested_by text NOT NULL,
  reviewed_by  text,
  first_by     text,
  second_by    text,
  reason       text NOT NULL DEFAULT '',
  created_at   timestamptz NOT NULL,
  decided_at   timestamptz,
  ended_at     timestamptz,
  UNIQUE (org_id, client_ref),
  CHECK (first_by <> second_by),
  CHECK (first_by <> requested_by AND second_by <> requested_by),
  CHECK (subsidy_micro = 0 OR reviewed_by IS NOT NULL OR state IN ('review', 'refused', 'cancelled')),
  CHECK (state NOT IN ('approving', 'approved', 'sent', 'confirmed', 'failed')
         OR (first_by IS NOT NULL AND second_by IS NOT NULL AND net_fen = gross_fen - withheld_fen AND channel IS NOT NULL))
);
CREATE INDEX payout_moving ON payments.payout (id) WHERE state IN ('approving', 'approved', 'sent');
CREATE INDEX payout_org ON payments.payout (org_id, id);

CREATE FUNCTION payments.guard_payout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
    ('review', 'requested'), ('review', 'refused'), ('review', 'cancelled'),
    ('requested', 'first'), ('requested', 'refused'), ('requested', 'cancelled'),
    ('first', 'approving'), ('first', 'refused'), ('first', 'cancelled'),
    ('approving', 'approved'), ('approving', 'refused'),
    ('approved', 'sent'), ('approved', 'confirmed'), ('approved', 'failed'), ('sent', 'confirmed'), ('sent', 'failed')
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
CREATE TRIGGER guard BEFORE UPDATE ON payments.payout FOR EACH ROW EXECUTE FUNCTION payments.guard_payout();

-- The sandbox institution's own side. Accounts that end in 0000 refuse the money, so that failures can be tried.
CREATE TABLE payments.sandbox_payout (
  payout_id  uuid PRIMARY KEY,
  amount_fen bigint NOT NULL,
  fails      boolean NOT NULL,
  due_at     timestamptz NOT NULL
);

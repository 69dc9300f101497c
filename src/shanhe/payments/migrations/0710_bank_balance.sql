-- The bank's balance against the books' as it stood when a second person was asked to sign it, and that they did.
CREATE TABLE payments.bank_balance (
  id              uuid PRIMARY KEY,
  day             date NOT NULL,
  bank_fen        bigint NOT NULL,
  ledger_fen      bigint NOT NULL,
  unexplained_fen bigint NOT NULL,
  sheet           jsonb NOT NULL,
  made_by         text NOT NULL CHECK (made_by <> ''),
  made_at         timestamptz NOT NULL,
  signed_by       text,
  signed_at       timestamptz,
  CHECK ((signed_by IS NULL) = (signed_at IS NULL))
);
CREATE INDEX bank_balance_day ON payments.bank_balance (day, made_at);

CREATE FUNCTION payments.guard_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' OR OLD.signed_by IS NOT NULL
     OR (NEW.id, NEW.day, NEW.bank_fen, NEW.ledger_fen, NEW.unexplained_fen, NEW.sheet, NEW.made_by, NEW.made_at)
        IS DISTINCT FROM
        (OLD.id, OLD.day, OLD.bank_fen, OLD.ledger_fen, OLD.unexplained_fen, OLD.sheet, OLD.made_by, OLD.made_at) THEN
    RAISE EXCEPTION 'bank balance %: what was made or signed stays', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON payments.bank_balance
  FOR EACH ROW EXECUTE FUNCTION payments.guard_balance();
SELECT kernel.watch('payments.bank_balance', 'made_by, signed_by');

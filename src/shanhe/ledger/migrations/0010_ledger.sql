-- Double entry, append-only. Amounts are integers of the asset's minor unit; balance = Σ credits − Σ debits.

CREATE SCHEMA ledger;

CREATE TABLE ledger.account (
  id        uuid PRIMARY KEY,
  owner     uuid NOT NULL,
  asset     text NOT NULL CHECK (asset IN ('credit', 'cny', 'voucher', 'ticket', 'point')),
  kind      text NOT NULL,
  name      text NOT NULL DEFAULT '',
  floor     bigint,                       -- NULL: unbounded; above 0: a pledge
  lots      boolean NOT NULL,
  balance   bigint NOT NULL DEFAULT 0,    -- of accounts with neither floor nor lots the rest is in `stripe`
  held      bigint NOT NULL DEFAULT 0 CHECK (held >= 0),   -- open holds + leases
  opened_at timestamptz NOT NULL,
  UNIQUE (owner, asset, kind, name),
  CONSTRAINT account_floor CHECK (floor IS NULL OR balance - held >= floor),
  CHECK (NOT lots OR floor >= 0)
) WITH (fillfactor = 50);

-- What each worker has added to an unbounded account: revenue is credited by every call, and one row would queue them.
CREATE TABLE ledger.stripe (
  account uuid NOT NULL,
  worker  text NOT NULL,
  balance bigint NOT NULL,
  PRIMARY KEY (account, worker)
) WITH (fillfactor = 50);

CREATE TABLE ledger.posting (
  id         uuid PRIMARY KEY,
  at         timestamptz NOT NULL,
  day        date NOT NULL,
  kind       text NOT NULL,
  actor      text NOT NULL DEFAULT '',
  memo       text NOT NULL DEFAULT '',
  reverses   uuid,
  evidence   bytea,
  lots       uuid[],      -- lots this posting burned (negative) or minted and restored (positive): one row a call
  lot_deltas bigint[]
);
CREATE UNIQUE INDEX posting_reverses ON ledger.posting (reverses) WHERE reverses IS NOT NULL;
CREATE INDEX posting_day ON ledger.posting USING brin (at);

CREATE TABLE ledger.transfer (
  id      uuid PRIMARY KEY,
  posting uuid NOT NULL,
  debit   uuid NOT NULL,
  credit  uuid NOT NULL CHECK (credit <> debit),
  amount  bigint NOT NULL CHECK (amount > 0),
  at      timestamptz NOT NULL
);
CREATE INDEX transfer_debit ON ledger.transfer (debit, at);
CREATE INDEX transfer_credit ON ledger.transfer (credit, at);
-- A posting's transfers: one may carry the posting's own id (the first leg of a call does), this tells the others.
CREATE TABLE ledger.posting_transfer (
  posting  uuid NOT NULL,
  ordinal  int NOT NULL,
  transfer uuid NOT NULL,
  PRIMARY KEY (posting, ordinal)
);

CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the ledger is append-only: % on % is refused; book a reversal', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'SH003';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.transfer
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.posting
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON ledger.transfer, ledger.posting FROM PUBLIC, CURRENT_USER;

CREATE TABLE ledger.lot (
  id            uuid PRIMARY KEY,
  account       uuid NOT NULL,
  provenance    text NOT NULL CHECK (provenance IN ('subsidy', 'reward', 'purchased', 'exchange')),
  parent        uuid,
  issued        bigint NOT NULL,
  remaining     bigint NOT NULL,
  held          bigint NOT NULL DEFAULT 0,
  issued_at     timestamptz NOT NULL,
  spendable_at  timestamptz,             -- pending income before
  unlock_at     timestamptz,             -- not tradeable before
  expires_at    timestamptz,
  earmark       jsonb,                   -- what a payment's facts must contain
  unit_cost_fen bigint,
  open          boolean NOT NULL,        -- remaining > 0; a column of its own so that burning stays a HOT update
  CONSTRAINT lot_bounds CHECK (0 <= held AND held <= remaining AND remaining <= issued),
  CHECK (open = (remaining > 0))
) WITH (fillfactor = 50);
CREATE INDEX lot_open ON ledger.lot (account) WHERE open;
CREATE INDEX lot_expiry ON ledger.lot (expires_at) WHERE open AND expires_at IS NOT NULL;

-- Subsidy stays subsidy, and neither a subsidy lot nor a locked one is ever sold.
CREATE FUNCTION ledger.guard_lineage() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE v_parent ledger.lot;
BEGIN
  SELECT * INTO STRICT v_parent FROM ledger.lot WHERE id = NEW.parent;
  IF v_parent.provenance = 'subsidy' AND NEW.provenance <> 'subsidy' THEN
    RAISE EXCEPTION 'lot % is subsidy: what it pays stays subsidy', v_parent.id USING ERRCODE = 'SH004';
  END IF;
  IF NEW.provenance = 'exchange' AND v_parent.unlock_at > NEW.issued_at THEN
    RAISE EXCEPTION 'lot % is locked until %', v_parent.id, v_parent.unlock_at USING ERRCODE = 'SH004';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER guard_lineage BEFORE INSERT ON ledger.lot
  FOR EACH ROW WHEN (NEW.parent IS NOT NULL) EXECUTE FUNCTION ledger.guard_lineage();

CREATE TABLE ledger.hold (
  id          uuid PRIMARY KEY,
  account     uuid NOT NULL,
  amount      bigint NOT NULL CHECK (amount >= 0),
  purpose     text NOT NULL,
  state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'captured', 'voided', 'expired')),
  created_at  timestamptz NOT NULL,
  expires_at  timestamptz NOT NULL,
  lots        uuid[] NOT NULL,           -- empty for accounts without lots
  lot_amounts bigint[] NOT NULL,
  captured    bigint NOT NULL DEFAULT 0,
  posting     uuid,
  CHECK (cardinality(lots) = cardinality(lot_amounts)),
  CHECK (captured <= amount)
) WITH (fillfactor = 70);
CREATE INDEX hold_open ON ledger.hold (account, expires_at) WHERE state = 'open';
CREATE VIEW ledger.hold_lot AS
  SELECT h.id AS hold, h.account, h.state, h.expires_at, u.lot, u.amount
  FROM ledger.hold h CROSS JOIN LATERAL unnest(h.lots, h.lot_amounts) AS u(lot, amount);

-- The id of a lease is its epoch: it only grows, and a reclaimed one never comes back.
CREATE TABLE ledger.lease (
  epoch      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account    uuid NOT NULL,
  worker     text NOT NULL,
  granted_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX lease_account ON ledger.lease (account);
CREATE TABLE ledger.lease_lot (
  epoch  bigint NOT NULL REFERENCES ledger.lease ON DELETE CASCADE,
  lot    uuid NOT NULL,
  amount bigint NOT NULL CONSTRAINT lease_left CHECK (amount >= 0),
  PRIMARY KEY (epoch, lot)
) WITH (fillfactor = 30);

CREATE TABLE ledger.counter (
  scope    uuid NOT NULL,
  name     text NOT NULL,
  win      text NOT NULL,
  used     bigint NOT NULL CHECK (used >= 0),  -- blocks lent to workers count as used
  touched  timestamptz NOT NULL,
  PRIMARY KEY (scope, name, win)
) WITH (fillfactor = 50);

CREATE TABLE ledger.period (
  closed_through date PRIMARY KEY,
  closed_at      timestamptz NOT NULL,
  actor          text NOT NULL
);
CREATE TABLE ledger.period_balance (
  closed_through date NOT NULL REFERENCES ledger.period,
  account        uuid NOT NULL,
  balance        bigint NOT NULL,
  PRIMARY KEY (closed_through, account)
);

-- What follows from an upheld dispute: trades undone by reversals, asked for by one person and agreed to by another.
CREATE TABLE exchange.remedy (
  id         uuid PRIMARY KEY,                   -- of the request for a second person's word
  dispute_id uuid NOT NULL REFERENCES exchange.dispute,
  trades     uuid[] NOT NULL CHECK (cardinality(trades) BETWEEN 1 AND 200),
  reason     text NOT NULL CHECK (length(reason) BETWEEN 1 AND 200),
  asked_by   text NOT NULL,
  asked_at   timestamptz NOT NULL,
  state      text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'ended')),
  decided_by text,
  decided_at timestamptz,
  CHECK ((state = 'open') = (decided_at IS NULL)),
  CHECK (decided_by IS NULL OR decided_by <> asked_by)
);
CREATE UNIQUE INDEX remedy_open ON exchange.remedy (dispute_id) WHERE state = 'open';
CREATE INDEX remedy_dispute ON exchange.remedy (dispute_id);

-- A trade is undone once, as far as both sides still had what it gave them; `bound`: what was not there any more.
CREATE TABLE exchange.reversal (
  trade_id  uuid PRIMARY KEY REFERENCES exchange.trade,
  remedy_id uuid NOT NULL REFERENCES exchange.remedy,
  posting   uuid UNIQUE,
  quantity  bigint NOT NULL CHECK (quantity >= 0),
  cash_fen  bigint NOT NULL CHECK (cash_fen >= 0),
  fee_fen   bigint NOT NULL CHECK (fee_fen BETWEEN 0 AND cash_fen),
  bound     text NOT NULL CHECK (bound IN ('', 'credits', 'cash', 'fund')),
  at        timestamptz NOT NULL,
  CHECK ((posting IS NULL) = (quantity = 0))
);
CREATE INDEX reversal_remedy ON exchange.reversal (remedy_id);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON exchange.reversal
  FOR EACH STATEMENT EXECUTE FUNCTION exchange.refuse_change();

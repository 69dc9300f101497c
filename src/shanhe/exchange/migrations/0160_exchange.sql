-- Two markets (real, play), each with a journal of accepted events; orders and trades follow from the journal.
CREATE SCHEMA exchange;

-- `seq`, `at_us` and the settings: as accepted (locking the row puts acceptance in a line). `applied_*`: as matched.
CREATE TABLE exchange.market (
  market      text PRIMARY KEY CHECK (market IN ('real', 'play')),
  seq         bigint NOT NULL DEFAULT 0,
  at_us       bigint NOT NULL DEFAULT 0,         -- time of the newest event; never goes back
  floor       int NOT NULL DEFAULT 0,
  ceiling     int NOT NULL DEFAULT 0,
  continuous  boolean NOT NULL DEFAULT false,
  paused      boolean NOT NULL DEFAULT false,
  reason      text NOT NULL DEFAULT '',          -- of the last pause or resumption
  actor       text NOT NULL DEFAULT ''
);
CREATE TABLE exchange.matcher (
  market      text PRIMARY KEY REFERENCES exchange.market,
  seq         bigint NOT NULL DEFAULT 0,         -- the newest event folded into orders and trades
  floor       int NOT NULL DEFAULT 0,
  ceiling     int NOT NULL DEFAULT 0,
  continuous  boolean NOT NULL DEFAULT false,
  paused      boolean NOT NULL DEFAULT false,
  last_ticks  int
);
INSERT INTO exchange.market (market) VALUES ('real'), ('play');
INSERT INTO exchange.matcher (market) VALUES ('real'), ('play');

CREATE TABLE exchange.event (
  market text NOT NULL,
  seq    bigint NOT NULL,
  body   bytea NOT NULL,                         -- the event, canonical JSON
  PRIMARY KEY (market, seq)
);
CREATE FUNCTION exchange.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'SH003';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON exchange.event
  FOR EACH STATEMENT EXECUTE FUNCTION exchange.refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON exchange.event FROM PUBLIC, CURRENT_USER;

CREATE TABLE exchange.orders (
  id             uuid PRIMARY KEY,               -- also the id of its escrow in the ledger
  market         text NOT NULL REFERENCES exchange.market,
  seq            bigint NOT NULL,                -- the event that placed it
  org_id         uuid NOT NULL,
  party          uuid NOT NULL,
  related        uuid[] NOT NULL,
  side           smallint NOT NULL CHECK (side IN (0, 1)),
  ticks          int NOT NULL CHECK (ticks > 0),
  quantity       bigint NOT NULL CHECK (quantity > 0),
  asked_ticks    int NOT NULL,                   -- as first ordered; the two above follow amendments
  asked_quantity bigint NOT NULL,
  filled         bigint NOT NULL DEFAULT 0,
  value          bigint NOT NULL DEFAULT 0,      -- Σ quantity × ticks of its trades
  cash_fen       bigint NOT NULL DEFAULT 0 CHECK (cash_fen >= 0),
  fee_fen        bigint NOT NULL DEFAULT 0 CHECK (fee_fen BETWEEN 0 AND cash_fen),
  discount_bps   int NOT NULL CHECK (discount_bps BETWEEN 0 AND 10000),
  validity       text NOT NULL CHECK (validity IN ('gtc', 'day')),
  until_us       bigint,
  state          text NOT NULL DEFAULT 'open',
  rank           bigint NOT NULL,                -- the event that gave it its place in the queue
  credit_account uuid NOT NULL,
  cash_account   uuid NOT NULL,
  ordered_on     date NOT NULL,                  -- the rules of this day price its fee
  placed_at      timestamptz NOT NULL,
  ended_at       timestamptz,
  actor          text NOT NULL,
  amended        boolean NOT NULL DEFAULT false, -- its escrow is to be cut to what it still needs
  released       boolean NOT NULL DEFAULT false, -- its escrow has ended
  CHECK (filled BETWEEN 0 AND quantity),
  CHECK (state IN ('open', 'filled', 'cancelled', 'expired', 'self_trade', 'market_closed', 'disputed')),
  CHECK ((state = 'open') = (ended_at IS NULL)),
  CHECK (state <> 'filled' OR filled = quantity),
  CHECK (NOT released OR state <> 'open')
) WITH (fillfactor = 70);
CREATE INDEX orders_open ON exchange.orders (market, side, ticks) WHERE state = 'open';
CREATE INDEX orders_party ON exchange.orders (party, side, ticks) WHERE state = 'open';
CREATE INDEX orders_until ON exchange.orders (market, until_us) WHERE state = 'open' AND until_us IS NOT NULL;
CREATE INDEX orders_org ON exchange.orders (org_id, id);
CREATE INDEX orders_ended ON exchange.orders (market) WHERE state <> 'open' AND NOT released;
CREATE INDEX orders_amended ON exchange.orders (market) WHERE amended;

CREATE TABLE exchange.trade (
  id         uuid PRIMARY KEY,                   -- also the id of its posting; follows from market, event and place
  market     text NOT NULL REFERENCES exchange.market,
  seq        bigint NOT NULL,
  n          int NOT NULL,
  at         timestamptz NOT NULL,
  buy        uuid NOT NULL,
  sell       uuid NOT NULL,
  quantity   bigint NOT NULL CHECK (quantity > 0),
  ticks      int NOT NULL CHECK (ticks > 0),
  cash_fen   bigint NOT NULL CHECK (cash_fen >= 0),
  fee_fen    bigint NOT NULL CHECK (fee_fen BETWEEN 0 AND cash_fen),
  settled_at timestamptz,
  UNIQUE (market, seq, n),
  CHECK (buy <> sell)
) WITH (fillfactor = 70);
CREATE INDEX trade_unsettled ON exchange.trade (market, seq, n) WHERE settled_at IS NULL;
CREATE INDEX trade_buy ON exchange.trade (buy);
CREATE INDEX trade_sell ON exchange.trade (sell);
CREATE INDEX trade_at ON exchange.trade (market, at DESC);
CREATE FUNCTION exchange.guard_trade() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a trade only settles, and once' USING ERRCODE = 'SH003';
END $$;
CREATE TRIGGER settles_once BEFORE UPDATE ON exchange.trade FOR EACH ROW
  WHEN (OLD.settled_at IS NOT NULL OR NEW.settled_at IS NULL
        OR (OLD.id, OLD.market, OLD.seq, OLD.n, OLD.at, OLD.buy, OLD.sell, OLD.quantity, OLD.ticks, OLD.cash_fen, OLD.fee_fen)
           IS DISTINCT FROM
           (NEW.id, NEW.market, NEW.seq, NEW.n, NEW.at, NEW.buy, NEW.sell, NEW.quantity, NEW.ticks, NEW.cash_fen, NEW.fee_fen))
  EXECUTE FUNCTION exchange.guard_trade();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON exchange.trade
  FOR EACH STATEMENT EXECUTE FUNCTION exchange.refuse_change();

CREATE TABLE exchange.auction (
  market    text NOT NULL REFERENCES exchange.market,
  slot      timestamptz NOT NULL,                -- the time it is named after: each is held once
  seq       bigint NOT NULL,
  held_at   timestamptz NOT NULL,
  ticks     int,
  quantity  bigint NOT NULL DEFAULT 0,
  trades    int NOT NULL DEFAULT 0,
  forced_by text,
  PRIMARY KEY (market, slot),
  UNIQUE (market, seq)
);

CREATE TABLE exchange.deposit (
  id         uuid PRIMARY KEY,                   -- of the payment order, and of the posting
  org_id     uuid NOT NULL,
  client_ref text NOT NULL CHECK (length(client_ref) BETWEEN 1 AND 128),
  amount_fen bigint NOT NULL CHECK (amount_fen > 0),
  method     text NOT NULL,
  state      text NOT NULL CHECK (state IN ('open', 'posted', 'closed')),
  actor      text NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (org_id, client_ref)
);
CREATE TABLE exchange.withdrawal (
  id         uuid PRIMARY KEY,                   -- also of the hold on the cash
  org_id     uuid NOT NULL,
  amount_fen bigint NOT NULL CHECK (amount_fen > 0),
  payee      text NOT NULL CHECK (length(payee) BETWEEN 1 AND 200),
  state      text NOT NULL CHECK (state IN ('open', 'paid', 'refused')),
  reference  text NOT NULL DEFAULT '',           -- the bank's, or why it was refused
  actor      text NOT NULL,
  created_at timestamptz NOT NULL,
  decided_by text,
  decided_at timestamptz,
  CHECK ((state = 'open') = (decided_at IS NULL)),
  CHECK (decided_by IS NULL OR decided_by <> actor)
);
CREATE INDEX withdrawal_open ON exchange.withdrawal (id) WHERE state = 'open';
CREATE INDEX withdrawal_org ON exchange.withdrawal (org_id, id);

CREATE TABLE exchange.intervention (
  id        uuid PRIMARY KEY,                    -- of the order
  at        timestamptz NOT NULL,
  side      smallint NOT NULL,
  ticks     int NOT NULL,
  quantity  bigint NOT NULL,
  trace     jsonb NOT NULL                       -- the decision of F8
);
CREATE TABLE exchange.dispute (
  id         uuid PRIMARY KEY,
  order_id   uuid NOT NULL,
  org_id     uuid NOT NULL,
  text       text NOT NULL CHECK (length(text) BETWEEN 1 AND 1000),
  state      text NOT NULL CHECK (state IN ('open', 'upheld', 'dismissed')),
  answer     text NOT NULL DEFAULT '',
  actor      text NOT NULL,
  created_at timestamptz NOT NULL,
  decided_by text,
  decided_at timestamptz,
  CHECK ((state = 'open') = (decided_at IS NULL))
);
CREATE INDEX dispute_open ON exchange.dispute (id) WHERE state = 'open';
CREATE INDEX dispute_order ON exchange.dispute (order_id);

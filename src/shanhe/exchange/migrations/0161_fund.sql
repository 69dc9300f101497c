-- Payments out of the ecosystem fund: asked for by one person, agreed to by another, shown to everybody.
CREATE TABLE exchange.fund_payment (
  id         uuid PRIMARY KEY,                   -- of the request for a second person's word, and of the posting
  org_id     uuid NOT NULL,
  amount_fen bigint NOT NULL CHECK (amount_fen > 0),
  reason     text NOT NULL CHECK (length(reason) BETWEEN 1 AND 200),
  asked_by   text NOT NULL,
  asked_at   timestamptz NOT NULL,
  state      text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'paid', 'ended')),
  decided_at timestamptz,
  CHECK ((state = 'open') = (decided_at IS NULL))
);
CREATE INDEX fund_payment_open ON exchange.fund_payment (id) WHERE state = 'open';

-- Statements of payment institutions (WeChat Pay, Alipay), line by line; the sandbox and the bank have tables of their own.
CREATE TABLE payments.bill (
  hash        text PRIMARY KEY CHECK (length(hash) = 64),
  provider    text NOT NULL,
  name        text NOT NULL,
  lines       integer NOT NULL,
  refused     integer NOT NULL,
  uploaded_by text NOT NULL,
  uploaded_at timestamptz NOT NULL
);
CREATE TABLE payments.bill_line (
  provider   text NOT NULL,
  kind       text NOT NULL CHECK (kind IN ('payment', 'refund')),
  number     text NOT NULL,           -- our own number, as the institution repeats it
  amount_fen bigint NOT NULL CHECK (amount_fen > 0),
  at         timestamptz NOT NULL,
  bill       text NOT NULL REFERENCES payments.bill,
  PRIMARY KEY (provider, kind, number)
);
CREATE INDEX bill_line_at ON payments.bill_line (provider, at);
ALTER TABLE payments.sandbox_refund ADD COLUMN at timestamptz;
CREATE INDEX pay_order_paid ON payments.pay_order (paid_at) WHERE paid_at IS NOT NULL;
CREATE INDEX refund_decided ON payments.refund (decided_at) WHERE decided_at IS NOT NULL;

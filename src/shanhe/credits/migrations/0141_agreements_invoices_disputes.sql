-- Framework purchases (P2), invoices, disputes on receipts.
CREATE TABLE credits.agreement (
  id           uuid PRIMARY KEY,
  org_id       uuid NOT NULL,
  year         integer NOT NULL CHECK (year BETWEEN 2020 AND 2200),
  reference    text NOT NULL CHECK (length(reference) BETWEEN 1 AND 120),
  rule_version text NOT NULL,
  trace        jsonb NOT NULL,
  actor        text NOT NULL,
  created_at   timestamptz NOT NULL,
  UNIQUE (org_id, year)
);
CREATE TABLE credits.instalment (
  agreement_id uuid NOT NULL REFERENCES credits.agreement,
  number       integer NOT NULL CHECK (number > 0),
  due_on       date NOT NULL,
  amount_fen   bigint NOT NULL CHECK (amount_fen > 0),
  attempt      integer NOT NULL DEFAULT 0 CHECK (attempt >= 0),
  purchase_id  uuid REFERENCES credits.purchase,
  PRIMARY KEY (agreement_id, number)
);
CREATE INDEX instalment_due ON credits.instalment (due_on);

CREATE TABLE credits.invoice (
  id           uuid PRIMARY KEY,
  org_id       uuid NOT NULL,
  client_ref   text NOT NULL CHECK (length(client_ref) BETWEEN 1 AND 120),
  kind         text NOT NULL CHECK (kind IN ('ordinary', 'special')),
  title        text NOT NULL CHECK (length(title) BETWEEN 1 AND 120),
  tax_number   text NOT NULL CHECK (tax_number ~ '^([0-9A-Z]{15,20})?$'),
  amount_fen   bigint NOT NULL CHECK (amount_fen > 0),
  email        text NOT NULL DEFAULT '',
  state        text NOT NULL CHECK (state IN ('requested', 'issued', 'rejected')),
  number       text NOT NULL DEFAULT '',
  reason       text NOT NULL DEFAULT '',
  actor        text NOT NULL,
  decided_by   text NOT NULL DEFAULT '',
  created_at   timestamptz NOT NULL,
  decided_at   timestamptz,
  UNIQUE (org_id, client_ref),
  CHECK (kind = 'ordinary' OR tax_number <> ''),
  CHECK ((state = 'requested') = (decided_at IS NULL)),
  CHECK (state <> 'issued' OR number <> ''),
  CHECK (state <> 'rejected' OR reason <> '')
);
CREATE INDEX invoice_org ON credits.invoice (org_id, id);
CREATE INDEX invoice_open ON credits.invoice (id) WHERE state = 'requested';
CREATE UNIQUE INDEX invoice_number ON credits.invoice (number) WHERE state = 'issued';
-- One row an organisation: locking it puts its invoice requests in a line.
CREATE TABLE credits.invoice_line (org_id uuid PRIMARY KEY);

CREATE TABLE credits.dispute (
  id          uuid PRIMARY KEY,
  org_id      uuid NOT NULL,
  receipt_id  uuid NOT NULL,
  reason      text NOT NULL CHECK (length(reason) BETWEEN 1 AND 200),
  evidence    text NOT NULL DEFAULT '' CHECK (length(evidence) <= 4000),
  state       text NOT NULL CHECK (state IN ('open', 'granting', 'granted', 'refused', 'withdrawn')),
  answer      text NOT NULL DEFAULT '',
  reversal_id uuid,
  actor       text NOT NULL,
  decided_by  text NOT NULL DEFAULT '',
  created_at  timestamptz NOT NULL,
  decided_at  timestamptz,
  CHECK ((state = 'open') = (decided_at IS NULL)),
  CHECK (state <> 'granted' OR reversal_id IS NOT NULL),
  CHECK (decided_by = '' OR decided_by <> actor OR state = 'withdrawn')
);
-- A receipt is disputed once; who withdrew may try again.
CREATE UNIQUE INDEX dispute_once ON credits.dispute (receipt_id) WHERE state <> 'withdrawn';
CREATE INDEX dispute_org ON credits.dispute (org_id, id);
CREATE INDEX dispute_due ON credits.dispute (id) WHERE state IN ('open', 'granting');

-- Bank transfers: what is to arrive and to leave, statements line by line, and money that waits for a decision.
CREATE TABLE payments.bank_order (
  reference  text PRIMARY KEY CHECK (reference ~ '^SH[2-9A-HJ-NP-Z]{8}$'),
  order_id   uuid NOT NULL UNIQUE,
  amount_fen bigint NOT NULL CHECK (amount_fen > 0),
  created_at timestamptz NOT NULL
);

CREATE TABLE payments.bank_outgoing (
  reference  text PRIMARY KEY CHECK (reference ~ '^S[RP][2-9A-HJ-NP-Z]{8}$'),
  kind       text NOT NULL CHECK (kind IN ('refund', 'payout')),
  subject_id uuid NOT NULL UNIQUE,
  amount_fen bigint NOT NULL CHECK (amount_fen > 0),
  created_at timestamptz NOT NULL,
  done_at    timestamptz
);

CREATE TABLE payments.bank_file (
  hash        text PRIMARY KEY CHECK (length(hash) = 64),
  name        text NOT NULL,
  encoding    text NOT NULL,
  lines       integer NOT NULL,
  uploaded_by text NOT NULL,
  uploaded_at timestamptz NOT NULL
);

-- `print` is the line's fingerprint: the same line of an overlapping statement is a duplicate. Accounts are masked.
CREATE TABLE payments.bank_line (
  file_hash     text NOT NULL REFERENCES payments.bank_file,
  row           integer NOT NULL,
  print         text,
  direction     text CHECK (direction IN ('in', 'out')),
  amount_fen    bigint CHECK (amount_fen > 0),
  at            timestamptz,
  party         text NOT NULL DEFAULT '',
  party_account text NOT NULL DEFAULT '',
  remark        text NOT NULL DEFAULT '',
  state         text NOT NULL CHECK (state IN ('new', 'matched', 'partial', 'suspense', 'duplicate', 'refused')),
  why           text NOT NULL DEFAULT '',
  order_id      uuid,
  reference     text,
  confirmed_at  timestamptz,
  PRIMARY KEY (file_hash, row),
  CHECK (state IN ('refused', 'duplicate') OR (amount_fen IS NOT NULL AND at IS NOT NULL AND print IS NOT NULL))
);
CREATE UNIQUE INDEX bank_line_print ON payments.bank_line (print) WHERE state NOT IN ('duplicate', 'refused');
CREATE INDEX bank_line_unconfirmed ON payments.bank_line (file_hash, row) WHERE state = 'matched' AND confirmed_at IS NULL;
CREATE INDEX bank_line_new ON payments.bank_line (file_hash, row) WHERE state = 'new';
CREATE INDEX bank_line_order ON payments.bank_line (order_id) WHERE order_id IS NOT NULL;

-- Money on the account that no order accounts for. Each item has a posting and an owner until it is decided.
CREATE TABLE payments.suspense (
  id          uuid PRIMARY KEY,
  file_hash   text NOT NULL,
  row         integer NOT NULL,
  kind        text NOT NULL CHECK (kind IN ('unknown_reference', 'late', 'over', 'under', 'outgoing')),
  order_id    uuid,
  amount_fen  bigint NOT NULL CHECK (amount_fen > 0),
  outgoing    boolean NOT NULL,
  owner       text NOT NULL CHECK (owner <> ''),
  state       text NOT NULL CHECK (state IN ('open', 'applied', 'returned', 'explained')),
  posted_at   timestamptz,
  note        text NOT NULL DEFAULT '',
  decided_by  text,
  decided_at  timestamptz,
  released_at timestamptz,
  created_at  timestamptz NOT NULL,
  UNIQUE (file_hash, row, kind),
  FOREIGN KEY (file_hash, row) REFERENCES payments.bank_line,
  CHECK ((state = 'open') = (decided_at IS NULL))
);
CREATE INDEX suspense_open ON payments.suspense (created_at) WHERE state = 'open';
CREATE INDEX suspense_unposted ON payments.suspense (id)
  WHERE posted_at IS NULL OR (state <> 'open' AND released_at IS NULL);

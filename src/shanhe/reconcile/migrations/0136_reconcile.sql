-- What did not agree, and what became of it.
CREATE SCHEMA reconcile;

CREATE TABLE reconcile.run (
  id         uuid PRIMARY KEY,
  day        date NOT NULL,
  by         text NOT NULL,
  started_at timestamptz NOT NULL,
  ended_at   timestamptz NOT NULL,
  checks     jsonb NOT NULL
);
CREATE INDEX run_day ON reconcile.run (day, id);

CREATE TABLE reconcile.difference (
  id            uuid PRIMARY KEY,
  day           date NOT NULL,
  "check"       text NOT NULL,
  subject       text NOT NULL,
  kind          text NOT NULL,
  unit          text NOT NULL,
  left_name     text NOT NULL,
  "left"        bigint NOT NULL,
  right_name    text NOT NULL,
  "right"       bigint NOT NULL,
  owner         text NOT NULL CHECK (owner <> ''),
  cash          text NOT NULL DEFAULT '',
  money_fen     bigint NOT NULL DEFAULT 0,
  state         text NOT NULL CHECK (state IN ('open', 'assigned', 'resolved')),
  outcome       text CHECK (outcome IN ('released', 'written_off', 'explained')),
  note          text NOT NULL DEFAULT '',
  decided_by    text,
  posted_at     timestamptz,
  settled_at    timestamptz,
  first_seen_at timestamptz NOT NULL,
  last_seen_at  timestamptz NOT NULL,
  decided_at    timestamptz,
  UNIQUE ("check", day, subject, kind),
  CHECK ((state = 'resolved') = (outcome IS NOT NULL)),
  CHECK ((outcome IS NOT NULL) = (decided_at IS NOT NULL)),
  CHECK (money_fen = 0 OR cash <> ''),
  CHECK (outcome IS NULL OR (outcome = 'explained') = (money_fen = 0))
);
CREATE INDEX difference_open ON reconcile.difference (day DESC) WHERE state <> 'resolved';
CREATE INDEX difference_unbooked ON reconcile.difference (id)
  WHERE money_fen <> 0 AND (posted_at IS NULL OR (state = 'resolved' AND settled_at IS NULL));

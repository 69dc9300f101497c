-- Needs and solutions, their vectors, and how two of them come to terms. Texts of people are sealed (ADR 0039).
CREATE SCHEMA board;

CREATE TABLE board.post (
  id              uuid PRIMARY KEY,
  kind            text NOT NULL CHECK (kind IN ('need', 'solution')),
  org_id          uuid NOT NULL,
  state           text NOT NULL CHECK (state IN ('draft', 'open', 'matched', 'withdrawn', 'expired')),
  title           text NOT NULL,
  text            text NOT NULL,
  asks            text NOT NULL DEFAULT '',      -- what a solution asks in return
  sector          text NOT NULL CHECK (sector ~ '^[a-z_]{2,30}$'),
  until           date NOT NULL,                 -- the last day it stands on the board
  shows_name      boolean NOT NULL,
  by_meaning      boolean NOT NULL,              -- the owner pays for one embedding
  readiness       smallint NOT NULL DEFAULT 0 CHECK (readiness BETWEEN 0 AND 9),
  budget_from_fen bigint CHECK (budget_from_fen >= 0),
  budget_to_fen   bigint CHECK (budget_to_fen >= budget_from_fen),
  price_fen       bigint CHECK (price_fen >= 0),
  revision        int NOT NULL CHECK (revision >= 1),
  made_by         text NOT NULL,
  made_at         timestamptz NOT NULL,
  changed_at      timestamptz NOT NULL,
  published_at    timestamptz,
  CHECK (state = 'draft' OR published_at IS NOT NULL OR state = 'withdrawn'),
  CHECK (state <> 'matched' OR kind = 'need'),
  CHECK (kind = 'need' OR (budget_from_fen IS NULL AND budget_to_fen IS NULL)),
  CHECK (kind = 'solution' OR (price_fen IS NULL AND asks = '')),
  CHECK (kind = 'need' OR readiness >= 1)
);
CREATE INDEX post_open ON board.post (kind, published_at DESC) WHERE state = 'open';
CREATE INDEX post_org ON board.post (org_id, id DESC);

CREATE TABLE board.vector (
  post       uuid PRIMARY KEY REFERENCES board.post,
  revision   int NOT NULL,
  model      text NOT NULL,
  vector     text NOT NULL,                      -- half precision, base64; a person's is sealed
  paid_micro bigint NOT NULL CHECK (paid_micro >= 0),
  receipt_id uuid,
  made_at    timestamptz NOT NULL
);

CREATE TABLE board.match (
  id                   uuid PRIMARY KEY,
  need                 uuid NOT NULL REFERENCES board.post,
  solution             uuid NOT NULL REFERENCES board.post,
  need_org             uuid NOT NULL,
  solution_org         uuid NOT NULL,
  opened_by            text NOT NULL CHECK (opened_by IN ('need', 'solution')),
  state                text NOT NULL CHECK (state IN ('interest', 'offer', 'agreed', 'declined', 'withdrawn', 'ended')),
  round                int NOT NULL DEFAULT 0 CHECK (round >= 0),   -- of the offer that stands
  offered_by           text CHECK (offered_by IN ('need', 'solution')),
  need_accepted_at     timestamptz,
  solution_accepted_at timestamptz,
  application          uuid,                     -- of the reward (T10)
  barred               jsonb,                    -- why none could be asked for, in the programme's own words
  opened_at            timestamptz NOT NULL,
  changed_at           timestamptz NOT NULL,
  CHECK (need_org <> solution_org),
  CHECK ((round = 0) = (offered_by IS NULL)),
  CHECK (state <> 'offer' OR round > 0),
  CHECK ((state = 'agreed') = (need_accepted_at IS NOT NULL AND solution_accepted_at IS NOT NULL)),
  CHECK (state = 'agreed' OR (application IS NULL AND barred IS NULL))
);
-- One need is solved once, and one pair talks in one place.
CREATE UNIQUE INDEX match_once ON board.match (need) WHERE state = 'agreed';
CREATE UNIQUE INDEX match_pair ON board.match (need, solution) WHERE state IN ('interest', 'offer', 'agreed');
CREATE INDEX match_need ON board.match (need_org, id DESC);
CREATE INDEX match_solution ON board.match (solution_org, id DESC);
CREATE INDEX match_due ON board.match (changed_at) WHERE state = 'agreed' AND application IS NULL AND barred IS NULL;

CREATE TABLE board.word (
  match   uuid NOT NULL REFERENCES board.match,
  n       int NOT NULL CHECK (n BETWEEN 1 AND 200),
  org_id  uuid NOT NULL,                         -- whose word it is
  side    text NOT NULL CHECK (side IN ('need', 'solution')),
  kind    text NOT NULL CHECK (kind IN ('interest', 'offer', 'accept', 'decline', 'withdraw')),
  text    text NOT NULL,
  fee_fen bigint CHECK (fee_fen >= 0),
  actor   text NOT NULL,
  at      timestamptz NOT NULL,
  PRIMARY KEY (match, n)
);

-- Presence, cards and what they open. Where somebody was stands only in sealed proofs, and those are deleted after a month;
-- a day itself is sealed too: its key is a keyed hash of person and day, so that it is counted once and can't be listed by day.
CREATE SCHEMA nomads;

CREATE TABLE nomads.venue (
  id          uuid PRIMARY KEY,
  org_id      uuid NOT NULL,
  name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
  kind        text NOT NULL CHECK (kind IN ('space', 'lodging', 'attraction', 'merchant', 'academy', 'clinic')),
  address     text NOT NULL CHECK (length(address) <= 200),
  fingerprint text NOT NULL,                          -- name and address without case, spaces and dashes
  public      bytea NOT NULL UNIQUE CHECK (octet_length(public) = 32),
  own_key     boolean NOT NULL,
  certified   boolean NOT NULL DEFAULT false,
  closed_at   timestamptz,
  created_at  timestamptz NOT NULL,
  actor       text NOT NULL
);
CREATE UNIQUE INDEX venue_once ON nomads.venue (fingerprint) WHERE closed_at IS NULL;
CREATE INDEX venue_org ON nomads.venue (org_id);

CREATE TABLE nomads.person (
  person_id uuid PRIMARY KEY,
  handle    uuid NOT NULL UNIQUE,
  number    text NOT NULL UNIQUE CHECK (number ~ '^N[0-9A-Z]{8}$')
);

CREATE TABLE nomads.day (
  day_key   bytea PRIMARY KEY CHECK (octet_length(day_key) = 32),
  person_id uuid NOT NULL REFERENCES nomads.person,
  sealed    bytea NOT NULL                            -- the day, how it was proved, the salt of its commitment
);
CREATE INDEX day_person ON nomads.day (person_id);

CREATE TABLE nomads.proof (
  day_key   bytea PRIMARY KEY REFERENCES nomads.day ON DELETE CASCADE,
  sealed    bytea NOT NULL,                           -- the venue
  forget_on date NOT NULL                             -- a Monday: says no day
);
CREATE INDEX proof_forget ON nomads.proof (forget_on);

CREATE TABLE nomads.rate (
  key    bytea NOT NULL,
  window_at timestamptz NOT NULL,
  n      int NOT NULL CHECK (n > 0),
  PRIMARY KEY (key, window_at)
);

CREATE TABLE nomads.used_pass (
  mark    bytea PRIMARY KEY,
  purpose text NOT NULL,
  until   timestamptz NOT NULL
);

CREATE TABLE nomads.reading (
  id        uuid PRIMARY KEY,
  person_id uuid NOT NULL,
  purpose   text NOT NULL CHECK (purpose IN ('own', 'qualify')),
  at        timestamptz NOT NULL,
  actor     text NOT NULL
);
CREATE INDEX reading_person ON nomads.reading (person_id, at);

CREATE TABLE nomads.organisation (
  org_id     uuid PRIMARY KEY,
  public     bytea NOT NULL UNIQUE CHECK (octet_length(public) = 32),
  since      date NOT NULL,
  until      date CHECK (until >= since),
  actor      text NOT NULL
);

CREATE TABLE nomads.decision (
  id         uuid PRIMARY KEY,
  person_id  uuid NOT NULL REFERENCES nomads.person,
  kind       text NOT NULL CHECK (kind IN ('issue', 'renewal')),
  client_ref text NOT NULL CHECK (length(client_ref) BETWEEN 1 AND 128),
  granted    boolean NOT NULL,
  at         timestamptz NOT NULL,
  card       uuid,
  versions   jsonb NOT NULL,
  sealed     bytea NOT NULL,                          -- reasons, days, traces
  UNIQUE (person_id, client_ref),
  CHECK (granted = (card IS NOT NULL))
);

CREATE TABLE nomads.card (
  id            uuid PRIMARY KEY,
  person_id     uuid NOT NULL REFERENCES nomads.person,
  year          int NOT NULL CHECK (year > 0),
  rule          text NOT NULL,
  credential    uuid NOT NULL UNIQUE REFERENCES credentials.credential,
  valid_from    date NOT NULL,
  valid_until   date NOT NULL CHECK (valid_until > valid_from),
  days_required int NOT NULL CHECK (days_required > 0),
  issued_at     timestamptz NOT NULL,
  revoked_at    timestamptz,
  settled       boolean NOT NULL DEFAULT false,       -- its tickets are on the ledger
  ended         boolean NOT NULL DEFAULT false,       -- what was left of them is gone
  UNIQUE (person_id, year)
);
CREATE INDEX card_open ON nomads.card (valid_until) WHERE NOT (settled AND ended);

CREATE TABLE nomads.ticket (
  id     uuid PRIMARY KEY,                            -- random: tickets of one card are not known to belong together
  card   uuid NOT NULL REFERENCES nomads.card,
  number int NOT NULL CHECK (number > 0),
  UNIQUE (card, number)
);

CREATE TABLE nomads.redemption (
  ticket    uuid PRIMARY KEY REFERENCES nomads.ticket,
  card      uuid NOT NULL REFERENCES nomads.card,
  number    int NOT NULL CHECK (number > 0),
  admitted  int NOT NULL CHECK (admitted > 0),
  day       date NOT NULL,
  posted    boolean NOT NULL DEFAULT false,
  sealed    bytea,                                    -- when and where, until it is forgotten
  forget_on date NOT NULL,
  UNIQUE (card, number)
);
CREATE INDEX redemption_open ON nomads.redemption (ticket) WHERE NOT posted;
CREATE INDEX redemption_forget ON nomads.redemption (forget_on) WHERE sealed IS NOT NULL;

CREATE TABLE nomads.scan (
  venue_id uuid NOT NULL REFERENCES nomads.venue,
  scanner  text NOT NULL CHECK (length(scanner) BETWEEN 1 AND 40),
  seq      bigint NOT NULL CHECK (seq >= 0),
  mark     bytea NOT NULL,                            -- a keyed hash of the ticket
  outcome  text NOT NULL CHECK (outcome IN ('settled', 'double', 'refused')),
  admitted int NOT NULL CHECK (admitted >= 0),
  at       timestamptz NOT NULL,
  forget_on date NOT NULL,
  PRIMARY KEY (venue_id, scanner, seq)
);

CREATE TABLE nomads.venue_day (
  venue_id uuid NOT NULL REFERENCES nomads.venue,
  day      date NOT NULL,
  what     text NOT NULL,
  uses     int NOT NULL CHECK (uses > 0),
  people   int NOT NULL CHECK (people >= 0),
  PRIMARY KEY (venue_id, day, what)
);

-- What calls with a tag used, by day. A tag stands on receipts as a keyed hash of its organisation and name; the name is
-- here alone, sealed where the organisation is one person.
CREATE TABLE gateway.tag (
  org_id   uuid        NOT NULL,
  id       uuid        NOT NULL,
  name     text        NOT NULL CHECK (name <> ''),
  made_at  timestamptz NOT NULL,
  PRIMARY KEY (org_id, id)
);

CREATE TABLE gateway.tag_day (
  day           date    NOT NULL,
  org_id        uuid    NOT NULL,
  tag           uuid    NOT NULL,
  key_id        uuid    NOT NULL,
  model         text    NOT NULL,
  calls         bigint  NOT NULL CHECK (calls >= 0),
  input         bigint  NOT NULL CHECK (input >= 0),
  cached_input  bigint  NOT NULL CHECK (cached_input >= 0),
  output        bigint  NOT NULL CHECK (output >= 0),
  reasoning     bigint  NOT NULL CHECK (reasoning >= 0),
  tool          bigint  NOT NULL CHECK (tool >= 0),
  amount_micro  bigint  NOT NULL CHECK (amount_micro >= 0),
  PRIMARY KEY (day, org_id, tag, key_id, model)
);

COMMENT ON TABLE gateway.tag_day IS
  'Tokens and micro-credits by day and tag; a call with two tags counts in both. Rebuilt from ledger postings.';

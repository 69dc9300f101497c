-- Inheritance and dissolution: what an organisation leaves behind goes to its successors, by two people's word.
CREATE TABLE credits.estate (
  id           uuid PRIMARY KEY,                 -- of the request for a second person's word
  org_id       uuid NOT NULL,
  kind         text NOT NULL CHECK (kind IN ('inheritance', 'dissolution')),
  successors   jsonb NOT NULL,                   -- [{org_id, share_bps}], 10000 together
  documents    jsonb NOT NULL,                   -- [{proves, reference, sha256}]
  reason       text NOT NULL CHECK (length(reason) BETWEEN 1 AND 200),
  asked_by     text NOT NULL,
  asked_at     timestamptz NOT NULL,
  state        text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'booked', 'ended')),
  decided_by   text,
  decided_at   timestamptz,
  posting_id   uuid UNIQUE,                      -- NULL when there was nothing
  lines        jsonb NOT NULL DEFAULT '[]',
  rule_version text NOT NULL DEFAULT '',
  CHECK ((state = 'open') = (decided_at IS NULL)),
  CHECK (decided_by IS NULL OR decided_by <> asked_by)
);
CREATE UNIQUE INDEX estate_open ON credits.estate (org_id) WHERE state = 'open';
CREATE INDEX estate_org ON credits.estate (org_id, id);

-- Against a refused card: days that were proved otherwise, and why; a person of the office decides within the rule's days.
CREATE TABLE nomads.appeal (
  id         uuid PRIMARY KEY,
  decision   uuid NOT NULL UNIQUE REFERENCES nomads.decision,
  person_id  uuid NOT NULL REFERENCES nomads.person,
  asked      bytea NOT NULL,                    -- sealed with the person's key: why, days, evidence
  state      text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'upheld', 'rejected')),
  asked_at   timestamptz NOT NULL,
  due_at     timestamptz NOT NULL,
  told_at    timestamptz,                       -- when operators were told that it is overdue
  answer     bytea,
  decided_by text,
  decided_at timestamptz,
  settled    boolean NOT NULL DEFAULT false,    -- its days count and the card was decided again
  CHECK ((state = 'open') = (decided_at IS NULL)),
  CHECK ((answer IS NULL) = (decided_at IS NULL)),
  CHECK (decided_by <> 'person:' || person_id::text),
  CHECK (NOT settled OR state = 'upheld')
);
CREATE INDEX appeal_person ON nomads.appeal (person_id, id DESC);
CREATE INDEX appeal_open ON nomads.appeal (due_at) WHERE state = 'open';
CREATE INDEX appeal_unsettled ON nomads.appeal (id) WHERE state = 'upheld' AND NOT settled;

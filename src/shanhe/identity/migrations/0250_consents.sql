-- A consent to sensitive data stands apart from others (PIPL 29); a guardian gives it for a child (PIPL 31).
ALTER TABLE identity.consent ADD COLUMN apart boolean NOT NULL DEFAULT false;
ALTER TABLE identity.consent ADD COLUMN given_by uuid REFERENCES identity.person;

-- Objections to what needs no consent but may be refused, like decisions by rules alone (PIPL 24).
CREATE TABLE identity.objection (
  id         uuid PRIMARY KEY,
  person_id  uuid NOT NULL REFERENCES identity.person,
  purpose    text NOT NULL CHECK (length(purpose) BETWEEN 1 AND 200),
  made_at    timestamptz NOT NULL,
  ended_at   timestamptz CHECK (ended_at >= made_at)
);
CREATE INDEX objection_person ON identity.objection (person_id, id);
CREATE UNIQUE INDEX objection_standing ON identity.objection (person_id, purpose) WHERE ended_at IS NULL;

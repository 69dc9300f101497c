-- A consent may be about one thing among several: a person may let one clone of theirs answer and end another.
ALTER TABLE identity.consent ADD COLUMN about text NOT NULL DEFAULT '' CHECK (length(about) <= 100);
DROP INDEX identity.consent_standing;
CREATE UNIQUE INDEX consent_standing ON identity.consent (person_id, purpose, about) WHERE withdrawn_at IS NULL;

-- Who measures a set on two versions now: one at a time, whichever process is asked. `until` frees what a crash left.
CREATE TABLE trials.run (
  org_id uuid NOT NULL,
  agent  text NOT NULL,
  key    bytea NOT NULL CHECK (length(key) = 32),
  id     uuid NOT NULL UNIQUE,
  until  timestamptz NOT NULL,
  PRIMARY KEY (org_id, agent, key)
);

-- What the city vouches for. Private keys are in the vault; a token is sealed with its holder's key.
CREATE SCHEMA credentials;

CREATE TABLE credentials.issuer_key (
  kid    text PRIMARY KEY CHECK (kid ~ '^[0-9a-z-]{1,40}$'),
  public bytea NOT NULL UNIQUE CHECK (octet_length(public) = 32),
  since  timestamptz NOT NULL,
  until  timestamptz CHECK (until >= since)          -- null: signs now; else it only verifies
);
CREATE UNIQUE INDEX issuer_key_now ON credentials.issuer_key ((true)) WHERE until IS NULL;

CREATE TABLE credentials.credential (
  id         uuid PRIMARY KEY,
  person_id  uuid NOT NULL,
  vct        text NOT NULL CHECK (length(vct) BETWEEN 1 AND 300),
  kid        text NOT NULL REFERENCES credentials.issuer_key,
  list_no    int NOT NULL CHECK (list_no > 0),
  list_index int NOT NULL CHECK (list_index BETWEEN 0 AND 65535),
  issued_at  timestamptz NOT NULL,
  expires_on date NOT NULL,
  revoked_at timestamptz,
  reason     text NOT NULL DEFAULT '' CHECK (length(reason) <= 200),
  sealed     bytea NOT NULL,
  UNIQUE (list_no, list_index),
  CHECK ((revoked_at IS NULL) = (reason = ''))
);
CREATE INDEX credential_person ON credentials.credential (person_id);
CREATE INDEX credential_revoked ON credentials.credential (list_no) WHERE revoked_at IS NOT NULL;

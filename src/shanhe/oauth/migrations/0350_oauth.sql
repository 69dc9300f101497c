-- Apps, what they ask for, what was granted, and their tokens (as hashes only).
CREATE SCHEMA oauth;

CREATE TABLE oauth.client (
  id            text PRIMARY KEY CHECK (length(id) <= 500),
  name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
  redirect_uris text[] NOT NULL CHECK (cardinality(redirect_uris) BETWEEN 1 AND 10),
  made_at       timestamptz NOT NULL,
  used_at       timestamptz                       -- when somebody last allowed it
);
CREATE INDEX client_unused ON oauth.client (made_at) WHERE used_at IS NULL;

CREATE TABLE oauth.request (
  id           uuid PRIMARY KEY,
  client_id    text NOT NULL,
  client_name  text NOT NULL,
  redirect_uri text NOT NULL,
  state        text,
  challenge    text NOT NULL,
  resource     text NOT NULL,
  expires_at   timestamptz NOT NULL,
  answered_at  timestamptz
);
CREATE INDEX request_old ON oauth.request (expires_at);

CREATE TABLE oauth.grant (
  id         uuid PRIMARY KEY,
  client_id  text NOT NULL,
  key_id     uuid NOT NULL UNIQUE,
  org_id     uuid NOT NULL,
  person_id  uuid NOT NULL,
  resource   text NOT NULL,
  made_at    timestamptz NOT NULL,
  ended_at   timestamptz
);

CREATE TABLE oauth.token (
  digest       bytea PRIMARY KEY CHECK (length(digest) = 32),
  kind         text NOT NULL CHECK (kind IN ('code', 'access', 'refresh')),
  grant_id     uuid NOT NULL REFERENCES oauth.grant (id),
  redirect_uri text,
  challenge    text,
  expires_at   timestamptz NOT NULL,
  used_at      timestamptz,
  CHECK ((kind = 'code') = (challenge IS NOT NULL AND redirect_uri IS NOT NULL))
);
CREATE INDEX token_grant ON oauth.token (grant_id);
CREATE INDEX token_old ON oauth.token (expires_at);

-- What a form leaves for the page that follows it: sealed with a token that only the browser has, bound to its session
-- and that page, for minutes. Nothing here can be read without both, neither here nor in a copy.
CREATE TABLE identity.handover (
  token_sha256  bytea PRIMARY KEY CHECK (length(token_sha256) = 32),
  holder_sha256 bytea NOT NULL CHECK (length(holder_sha256) = 32),   -- of the session, or of a visitor's form token
  said          bytea NOT NULL CHECK (length(said) BETWEEN 28 AND 300000),
  expires_at    timestamptz NOT NULL
);
CREATE INDEX handover_holder ON identity.handover (holder_sha256, expires_at);
CREATE INDEX handover_expiry ON identity.handover (expires_at);

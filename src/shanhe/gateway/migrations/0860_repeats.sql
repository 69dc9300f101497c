-- Calls that named themselves (Idempotency-Key), so that one which is sent again is not made again: who sent it, hashes of
-- its name and body, and for minutes what it was answered: hashed and sealed with the caller's key, which is not in the database.
CREATE TABLE gateway.repeat (
  key_id       uuid        NOT NULL,
  name_hmac    bytea       NOT NULL CHECK (length(name_hmac) = 32),
  org_id       uuid        NOT NULL,
  body_hmac    bytea       NOT NULL CHECK (length(body_hmac) = 32),
  attempt      uuid        NOT NULL,
  alive_until  timestamptz NOT NULL,   -- while it is under way: whoever makes it says so again before
  answered_at  timestamptz,
  receipt_id   uuid,
  answer       bytea       CHECK (length(answer) <= 1100000),   -- NULL: more than is kept
  expires_at   timestamptz NOT NULL,
  PRIMARY KEY (key_id, name_hmac),
  CHECK (answered_at IS NOT NULL OR (answer IS NULL AND receipt_id IS NULL))
);
CREATE INDEX repeat_expiry ON gateway.repeat (expires_at);
CREATE INDEX repeat_of ON gateway.repeat (org_id) WHERE answer IS NOT NULL;

COMMENT ON TABLE gateway.repeat IS 'Calls with an Idempotency-Key, for minutes after their end.';

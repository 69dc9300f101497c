-- Why somebody's credential was revoked is sealed with their key, in the same column.
ALTER TABLE credentials.credential DROP CONSTRAINT credential_reason_check;
ALTER TABLE credentials.credential ADD CONSTRAINT credential_reason_check CHECK (length(reason) <= 4000);

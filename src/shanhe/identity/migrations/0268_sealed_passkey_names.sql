-- Names that people give their passkeys are sealed with their key, in the same column.
ALTER TABLE identity.passkey DROP CONSTRAINT passkey_name_check;
ALTER TABLE identity.passkey ADD CONSTRAINT passkey_name_check CHECK (length(name) BETWEEN 1 AND 2000);

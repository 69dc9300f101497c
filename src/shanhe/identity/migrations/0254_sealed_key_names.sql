-- A person's own keys have sealed names, in the same column; the application checks the names.
ALTER TABLE identity.api_key DROP CONSTRAINT api_key_name_check;
ALTER TABLE identity.api_key ADD CONSTRAINT api_key_name_check CHECK (length(name) BETWEEN 1 AND 2000);

-- What an app called itself when it was allowed, so that its person recognises it; older ones by their registration.
ALTER TABLE oauth.grant ADD COLUMN client_name text NOT NULL DEFAULT '' CHECK (length(client_name) <= 80);
UPDATE oauth.grant g SET client_name = c.name FROM oauth.client c WHERE c.id = g.client_id;
CREATE INDEX grant_person ON oauth.grant (person_id, made_at DESC);

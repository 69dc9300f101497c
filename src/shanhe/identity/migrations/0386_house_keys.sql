-- The key by which an organisation pays for what none of its own keys does (workflows, judges, knowledge, evaluations):
-- one at a time for each purpose, whichever process needs it first. A revoked one is replaced when it is needed again.
CREATE TABLE identity.house_key (
  org_id  uuid NOT NULL REFERENCES identity.organisation,
  purpose text NOT NULL CHECK (purpose ~ '^~[a-z]{1,40}$'),
  key_id  uuid NOT NULL UNIQUE REFERENCES identity.api_key,
  PRIMARY KEY (org_id, purpose)
);

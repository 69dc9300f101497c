-- People (sealed per person), organisations, roles, keys, sessions, second factors, consent, audit.
-- `bytea` columns called *_sealed hold vault ciphertexts, *_index blind indexes, *_sha256 hashes of random tokens.
CREATE SCHEMA identity;

CREATE TABLE identity.person (
  id            uuid PRIMARY KEY,
  state         text NOT NULL CHECK (state IN ('active', 'suspended', 'erased')),
  language      text NOT NULL DEFAULT 'zh-CN' CHECK (language IN ('zh-CN', 'en')),
  name_sealed   bytea,
  login_sealed  bytea,
  email_sealed  bytea,
  phone_sealed  bytea,
  login_index   bytea UNIQUE,
  email_index   bytea UNIQUE,
  phone_index   bytea,
  email_verified boolean NOT NULL DEFAULT false,
  cap_group     uuid,                               -- household or common ownership: shares one yearly cap (R0)
  created_at    timestamptz NOT NULL,
  erased_at     timestamptz,
  key_destroyed_at timestamptz,
  CHECK (state <> 'erased' OR (num_nonnulls(name_sealed, login_sealed, email_sealed, phone_sealed, login_index,
                                            email_index, phone_index) = 0 AND erased_at IS NOT NULL))
);
CREATE INDEX person_phone ON identity.person (phone_index) WHERE phone_index IS NOT NULL;
CREATE INDEX person_key_left ON identity.person (id) WHERE state = 'erased' AND key_destroyed_at IS NULL;

CREATE TABLE identity.category (                    -- grounds for benefits (P1): facts about a person, dated
  person_id     uuid NOT NULL REFERENCES identity.person,
  category      text NOT NULL CHECK (category IN ('resident', 'local_worker', 'associated_city_resident', 'nomad')),
  verified      boolean NOT NULL,
  valid_from    date NOT NULL,
  valid_to      date CHECK (valid_to >= valid_from),
  decided_by    text NOT NULL,
  decided_at    timestamptz NOT NULL,
  PRIMARY KEY (person_id, category, valid_from)
);

CREATE TABLE identity.organisation (
  id            uuid PRIMARY KEY,
  kind          text NOT NULL CHECK (kind IN ('company', 'government', 'institution', 'person')),
  name          text NOT NULL CHECK (length(name) <= 200),
  person_id     uuid UNIQUE REFERENCES identity.person,   -- whose organisation of one; its name is that person's, sealed
  registration  text UNIQUE CHECK (length(registration) BETWEEN 1 AND 64),
  locally_registered boolean NOT NULL DEFAULT false,
  local_verified boolean NOT NULL DEFAULT false,
  data_company  boolean NOT NULL DEFAULT false,
  cap_group     uuid,
  data_class    text NOT NULL DEFAULT 'general' CHECK (data_class IN ('general', 'citizen', 'government')),
  state         text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'frozen')),
  frozen_reason text,
  frozen_at     timestamptz,
  created_at    timestamptz NOT NULL,
  CHECK ((kind = 'person') = (person_id IS NOT NULL)),
  CHECK (kind <> 'person' OR name = ''),
  CHECK (kind = 'person' OR name <> ''),
  CHECK ((state = 'frozen') = (frozen_reason IS NOT NULL))
);

CREATE TABLE identity.department (
  id            uuid PRIMARY KEY,
  org_id        uuid NOT NULL REFERENCES identity.organisation,
  name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  created_at    timestamptz NOT NULL,
  UNIQUE (org_id, name),
  UNIQUE (org_id, id)
);

CREATE TABLE identity.membership (
  org_id        uuid NOT NULL REFERENCES identity.organisation,
  person_id     uuid NOT NULL REFERENCES identity.person,
  role          text NOT NULL CHECK (role IN ('owner', 'member')),
  department_id uuid,
  created_at    timestamptz NOT NULL,
  PRIMARY KEY (org_id, person_id),
  FOREIGN KEY (org_id, department_id) REFERENCES identity.department (org_id, id)
);
CREATE INDEX membership_person ON identity.membership (person_id);

CREATE TABLE identity.city_role (
  person_id     uuid NOT NULL REFERENCES identity.person,
  role          text NOT NULL CHECK (role IN ('operator', 'auditor', 'admin')),
  granted_by    text NOT NULL,
  granted_at    timestamptz NOT NULL,
  PRIMARY KEY (person_id, role)
);

CREATE TABLE identity.api_key (
  id            uuid PRIMARY KEY,
  org_id        uuid NOT NULL REFERENCES identity.organisation,
  department_id uuid,
  name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
  prefix        text NOT NULL,
  last4         text NOT NULL,
  token_sha256  bytea NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
  models        text[],                             -- null = every model
  permissions   text[] NOT NULL DEFAULT '{}',       -- of the administration API; most keys have none
  budget_day_micro   bigint CHECK (budget_day_micro >= 0),
  budget_month_micro bigint CHECK (budget_month_micro >= 0),
  rpm           integer CHECK (rpm > 0),
  tpm           bigint CHECK (tpm > 0),
  data_class    text NOT NULL CHECK (data_class IN ('general', 'citizen', 'government')),
  limit_scope   uuid NOT NULL,                      -- the first key of a rotation: its successors share its budgets
  successor_id  uuid REFERENCES identity.api_key,
  created_by    uuid REFERENCES identity.person,
  created_at    timestamptz NOT NULL,
  expires_at    timestamptz,
  revoked_at    timestamptz,
  revoked_reason text,
  FOREIGN KEY (org_id, department_id) REFERENCES identity.department (org_id, id)
);
CREATE INDEX api_key_org ON identity.api_key (org_id, id);
CREATE INDEX api_key_prefix ON identity.api_key (prefix);

CREATE TABLE identity.leak (
  id            uuid PRIMARY KEY,
  key_id        uuid NOT NULL REFERENCES identity.api_key,
  reporter      text NOT NULL,
  note          text NOT NULL,
  frozen        boolean NOT NULL,
  trace         jsonb NOT NULL,
  reported_at   timestamptz NOT NULL
);
CREATE INDEX leak_key ON identity.leak (key_id);

-- Signing in --------------------------------------------------------------------------------------------------------

CREATE TABLE identity.password (
  person_id     uuid PRIMARY KEY REFERENCES identity.person,
  hash          text NOT NULL,                      -- argon2id, PHC string
  set_at        timestamptz NOT NULL
);

CREATE TABLE identity.totp (
  person_id     uuid PRIMARY KEY REFERENCES identity.person,
  secret_sealed bytea NOT NULL,
  confirmed_at  timestamptz,
  last_step     bigint NOT NULL DEFAULT 0           -- a step is good once
);

CREATE TABLE identity.recovery_code (
  person_id     uuid NOT NULL REFERENCES identity.person,
  code_sha256   bytea NOT NULL,
  used_at       timestamptz,
  PRIMARY KEY (person_id, code_sha256)
);

CREATE TABLE identity.passkey (
  id            uuid PRIMARY KEY,
  person_id     uuid NOT NULL REFERENCES identity.person,
  credential_id bytea NOT NULL UNIQUE,
  public_key    bytea NOT NULL,
  sign_count    bigint NOT NULL,
  transports    text[] NOT NULL,
  backed_up     boolean NOT NULL,
  name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
  created_at    timestamptz NOT NULL,
  used_at       timestamptz
);
CREATE INDEX passkey_person ON identity.passkey (person_id);

CREATE TABLE identity.challenge (                   -- of a passkey ceremony; good once
  id            uuid PRIMARY KEY,
  purpose       text NOT NULL CHECK (purpose IN ('register', 'authenticate')),
  person_id     uuid REFERENCES identity.person,
  challenge     bytea NOT NULL,
  expires_at    timestamptz NOT NULL
);
CREATE INDEX challenge_expiry ON identity.challenge (expires_at);

CREATE TABLE identity.oidc_flow (                   -- between leaving for the provider and coming back; good once
  state_sha256  bytea PRIMARY KEY,
  nonce         text NOT NULL,
  verifier      text NOT NULL,
  return_path   text NOT NULL,
  expires_at    timestamptz NOT NULL
);
CREATE INDEX oidc_flow_expiry ON identity.oidc_flow (expires_at);

CREATE TABLE identity.oidc_subject (
  subject_index bytea PRIMARY KEY,                  -- of issuer and subject
  person_id     uuid NOT NULL REFERENCES identity.person,
  linked_at     timestamptz NOT NULL
);
CREATE INDEX oidc_subject_person ON identity.oidc_subject (person_id);

CREATE TABLE identity.session (
  id            uuid PRIMARY KEY,
  token_sha256  bytea NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
  person_id     uuid NOT NULL REFERENCES identity.person,
  org_id        uuid REFERENCES identity.organisation,
  stage         text NOT NULL CHECK (stage IN ('second_factor', 'enrol', 'full')),
  methods       text[] NOT NULL,                    -- how it was proved: password, totp, recovery, passkey, oidc
  device_sealed bytea,                              -- browser and address, for the person to recognise
  created_at    timestamptz NOT NULL,
  seen_at       timestamptz NOT NULL,
  expires_at    timestamptz NOT NULL,
  revoked_at    timestamptz
);
CREATE INDEX session_person ON identity.session (person_id) WHERE revoked_at IS NULL;
CREATE INDEX session_expiry ON identity.session (expires_at);

CREATE TABLE identity.attempt (                     -- failures by blind bucket: of a login, of an address, of a factor
  bucket        bytea PRIMARY KEY,
  failures      integer NOT NULL,
  since         timestamptz NOT NULL,
  locked_until  timestamptz
);
CREATE INDEX attempt_since ON identity.attempt (since);

-- Rights of people (PIPL) and the record of what operators did ----------------------------------------------------------

CREATE TABLE identity.consent (
  id            uuid PRIMARY KEY,
  person_id     uuid NOT NULL REFERENCES identity.person,
  purpose       text NOT NULL CHECK (length(purpose) BETWEEN 1 AND 200),
  basis         text NOT NULL CHECK (basis IN ('consent', 'contract', 'legal_duty', 'emergency', 'public_interest',
                                               'published')),
  article       text NOT NULL CHECK (length(article) <= 100),
  notice_version text NOT NULL CHECK (length(notice_version) <= 100),
  given_at      timestamptz NOT NULL,
  withdrawn_at  timestamptz CHECK (withdrawn_at >= given_at)
);
CREATE INDEX consent_person ON identity.consent (person_id, id);
CREATE UNIQUE INDEX consent_standing ON identity.consent (person_id, purpose) WHERE withdrawn_at IS NULL;

CREATE TABLE identity.audit (
  id            uuid PRIMARY KEY,
  at            timestamptz NOT NULL,
  actor         text NOT NULL,                      -- person:<id>, key:<id>, cli, system
  action        text NOT NULL CHECK (length(action) BETWEEN 1 AND 100),
  object        text NOT NULL CHECK (length(object) <= 200),
  org_id        uuid,
  details       jsonb NOT NULL
);
CREATE INDEX audit_object ON identity.audit (object, id DESC);
CREATE INDEX audit_org ON identity.audit (org_id, id DESC);

CREATE FUNCTION identity.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'identity.% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON identity.audit
  FOR EACH STATEMENT EXECUTE FUNCTION identity.refuse_change();

-- Every gateway process drops what it remembers of a key or an organisation as soon as it changes.
CREATE FUNCTION identity.tell_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('identity_keys', 'key:' || encode(NEW.token_sha256, 'hex'));
  RETURN NULL;
END $$;
CREATE TRIGGER key_changed AFTER INSERT OR UPDATE ON identity.api_key
  FOR EACH ROW EXECUTE FUNCTION identity.tell_key();

CREATE FUNCTION identity.tell_organisation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('identity_keys', 'org:' || NEW.id::text);
  RETURN NULL;
END $$;
CREATE TRIGGER organisation_changed AFTER UPDATE ON identity.organisation
  FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.data_class IS DISTINCT FROM NEW.data_class)
  EXECUTE FUNCTION identity.tell_organisation();

-- The registry of rights: entries, the terms that all holders consented to, and a history that is only added to.
CREATE SCHEMA ip;

CREATE TABLE ip.entry (
  id              uuid PRIMARY KEY,
  n               bigint GENERATED ALWAYS AS IDENTITY UNIQUE,   -- what it is called: ip/000001
  org_id          uuid NOT NULL,                                -- who registers it, one of its holders
  kind            text NOT NULL CHECK (kind IN ('software_copyright', 'invention_patent', 'ai_invention_patent', 'trade_secret', 'other')),
  number          text NOT NULL,                                -- of the office that registered it; empty for a secret
  number_key      bytea,                                        -- keyed hash of the number however it is written
  title           text NOT NULL CHECK (title <> ''),
  abstract        text NOT NULL,
  office          text NOT NULL,
  applied_on      date,
  granted_on      date,
  document_sha256 text NOT NULL CHECK (document_sha256 ~ '^([0-9a-f]{64})?$'),
  state           text NOT NULL CHECK (state IN ('draft', 'filed', 'verified', 'refused', 'lapsed', 'withdrawn')),
  reason          text NOT NULL DEFAULT '',
  created_by      text NOT NULL,
  created_at      timestamptz NOT NULL,
  filed_at        timestamptz,
  decided_by      text NOT NULL DEFAULT '',
  decided_at      timestamptz,
  CHECK (granted_on >= applied_on),
  CHECK (kind IN ('trade_secret', 'other') OR (number_key IS NOT NULL AND granted_on IS NOT NULL)),
  CHECK (state IN ('draft', 'withdrawn') OR filed_at IS NOT NULL),
  CHECK (state NOT IN ('verified', 'refused', 'lapsed') OR decided_at IS NOT NULL)
);
-- A number is registered once, whoever comes first; a refusal or a withdrawal sets it free.
CREATE UNIQUE INDEX entry_number ON ip.entry (number_key) WHERE state IN ('filed', 'verified', 'lapsed');
CREATE INDEX entry_org ON ip.entry (org_id, n);
CREATE INDEX entry_queue ON ip.entry (filed_at) WHERE state = 'filed';
CREATE INDEX entry_shown ON ip.entry (n) WHERE state = 'verified';

CREATE FUNCTION ip.entry_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state NOT IN ('draft', 'refused') AND (NEW.kind, NEW.number_key, NEW.granted_on, NEW.document_sha256, NEW.org_id)
     IS DISTINCT FROM (OLD.kind, OLD.number_key, OLD.granted_on, OLD.document_sha256, OLD.org_id)
  THEN RAISE EXCEPTION 'an entry that was filed does not change' USING ERRCODE = 'restrict_violation'; END IF;
  IF OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (('draft', 'filed'), ('draft', 'withdrawn'), ('filed', 'verified'),
    ('filed', 'refused'), ('filed', 'withdrawn'), ('refused', 'draft'), ('refused', 'withdrawn'), ('verified', 'lapsed'),
    ('verified', 'withdrawn'))
  THEN RAISE EXCEPTION 'an entry can''t go from % to %', OLD.state, NEW.state USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER entry_stands BEFORE UPDATE ON ip.entry FOR EACH ROW EXECUTE FUNCTION ip.entry_stands();

-- Holders' shares and the rate at which calls may use the right (NULL: not offered), as one: everybody consents to both.
CREATE TABLE ip.terms (
  entry       uuid NOT NULL REFERENCES ip.entry,
  n           int NOT NULL CHECK (n > 0),
  rate_ppm    int CHECK (rate_ppm BETWEEN 1 AND 1000000),
  state       text NOT NULL CHECK (state IN ('open', 'in_force', 'declined', 'ended')),
  proposed_by uuid NOT NULL,
  proposed_at timestamptz NOT NULL,
  settled_at  timestamptz,
  PRIMARY KEY (entry, n),
  CHECK ((state = 'open') = (settled_at IS NULL))
);
CREATE UNIQUE INDEX terms_open ON ip.terms (entry) WHERE state = 'open';
CREATE UNIQUE INDEX terms_in_force ON ip.terms (entry) WHERE state = 'in_force';

CREATE TABLE ip.share (
  entry     uuid NOT NULL,
  n         int NOT NULL,
  at        int NOT NULL CHECK (at BETWEEN 1 AND 32),
  party     uuid NOT NULL,
  share_ppm int NOT NULL CHECK (share_ppm BETWEEN 1 AND 1000000),
  PRIMARY KEY (entry, n, party),
  UNIQUE (entry, n, at),
  FOREIGN KEY (entry, n) REFERENCES ip.terms
);
CREATE INDEX share_party ON ip.share (party);

CREATE FUNCTION ip.shares_are_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT sum(s.share_ppm) FROM ip.share s WHERE s.entry = NEW.entry AND s.n = NEW.n) IS DISTINCT FROM 1000000 THEN
    RAISE EXCEPTION 'the shares of % are not a whole', NEW.entry USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER shares_are_whole AFTER INSERT OR UPDATE ON ip.terms
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ip.shares_are_whole();

CREATE TABLE ip.consent (
  entry  uuid NOT NULL,
  n      int NOT NULL,
  party  uuid NOT NULL,
  accept boolean NOT NULL,
  actor  text NOT NULL,
  at     timestamptz NOT NULL,
  PRIMARY KEY (entry, n, party),
  FOREIGN KEY (entry, n) REFERENCES ip.terms
);

CREATE TABLE ip.history (
  id    uuid PRIMARY KEY,                       -- of its entry in the transparency log
  seq   bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  entry uuid NOT NULL REFERENCES ip.entry,
  event text NOT NULL,
  terms int,
  actor text NOT NULL,
  at    timestamptz NOT NULL
);
CREATE INDEX history_entry ON ip.history (entry, seq);

CREATE FUNCTION ip.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'ip.% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ip.history
  FOR EACH STATEMENT EXECUTE FUNCTION ip.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ip.consent
  FOR EACH STATEMENT EXECUTE FUNCTION ip.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ip.share
  FOR EACH STATEMENT EXECUTE FUNCTION ip.refuse_change();

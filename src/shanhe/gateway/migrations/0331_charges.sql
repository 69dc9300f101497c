-- What is paid for a resource besides its model: who, on which basis, at which rate. Features publish rows here; a call that names
-- resources is split by them, and what it was split by is kept on its posting.
CREATE TABLE gateway.resource (
  name       text PRIMARY KEY CHECK (name ~ '^(agent|mcp|clone|alliance|model|data|prompt)/[a-z0-9][a-z0-9-]{1,62}$'),
  role       text NOT NULL CHECK (role IN ('agent_developer', 'mcp_developer', 'clone_owner', 'maker')),
  markup_bps int NOT NULL CHECK (markup_bps BETWEEN 0 AND 1000000),
  fee_micro  bigint NOT NULL CHECK (fee_micro BETWEEN 0 AND 1000000000000),
  open       boolean NOT NULL,
  changed_at timestamptz NOT NULL,
  changed_by text NOT NULL
);

CREATE TABLE gateway.resource_party (
  resource  text NOT NULL REFERENCES gateway.resource,
  role      text NOT NULL CHECK (role IN ('maker', 'ip_holder')),
  party     uuid NOT NULL,
  n         int NOT NULL CHECK (n BETWEEN 1 AND 32),
  share_ppm int CHECK (share_ppm BETWEEN 1 AND 1000000),   -- makers: recorded shares (T17)
  rate_ppm  int CHECK (rate_ppm BETWEEN 0 AND 1000000),    -- holders of IP: part of the price (T16)
  PRIMARY KEY (resource, role, party),
  UNIQUE (resource, role, n),
  CHECK ((role = 'maker') = (share_ppm IS NOT NULL)),
  CHECK ((role = 'ip_holder') = (rate_ppm IS NOT NULL))
);

-- The recorded shares of an open resource are a whole.
CREATE FUNCTION gateway.shares_are_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.open AND (SELECT sum(p.share_ppm) FROM gateway.resource_party p WHERE p.resource = NEW.name AND p.role = 'maker')
     IS DISTINCT FROM 1000000 THEN
    RAISE EXCEPTION 'the shares of % are not a whole', NEW.name USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER shares_are_whole AFTER INSERT OR UPDATE ON gateway.resource
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION gateway.shares_are_whole();

-- What came through a resource and what each party earned, by day: sums over call postings like usage_day, rebuilt with it.
-- A payer related to all of a resource's makers is not counted (R0).
CREATE TABLE gateway.resource_day (
  day          date   NOT NULL,
  resource     text   NOT NULL,
  org_id       uuid   NOT NULL,                  -- who paid
  calls        bigint NOT NULL CHECK (calls >= 0),
  tokens       bigint NOT NULL CHECK (tokens >= 0),
  amount_micro bigint NOT NULL CHECK (amount_micro >= 0),
  PRIMARY KEY (resource, day, org_id)
);
CREATE INDEX resource_day_payer ON gateway.resource_day (resource, org_id);
CREATE TABLE gateway.share_day (
  day          date   NOT NULL,
  account      uuid   NOT NULL,
  role         text   NOT NULL,
  resource     text   NOT NULL,                  -- empty where the part is for no listing: a node, a referrer
  calls        bigint NOT NULL CHECK (calls >= 0),
  amount_micro bigint NOT NULL CHECK (amount_micro >= 0),
  PRIMARY KEY (account, day, role, resource)
);

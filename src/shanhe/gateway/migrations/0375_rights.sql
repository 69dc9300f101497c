-- Registered rights (T16): what each is paid by the call, and to whom by which shares (T17). A registry publishes rows here; a resource
-- names the rights that its calls use, so that a change of a right's holders or rate counts wherever it is used.
CREATE TABLE gateway.royalty (
  name       text PRIMARY KEY CHECK (name ~ '^ip/[0-9]{6,12}$'),
  rate_ppm   int NOT NULL CHECK (rate_ppm BETWEEN 0 AND 1000000),   -- part of the price
  open       boolean NOT NULL,
  changed_at timestamptz NOT NULL,
  changed_by text NOT NULL
);

CREATE TABLE gateway.royalty_party (
  royalty   text NOT NULL REFERENCES gateway.royalty,
  party     uuid NOT NULL,
  n         int NOT NULL CHECK (n BETWEEN 1 AND 32),
  share_ppm int NOT NULL CHECK (share_ppm BETWEEN 1 AND 1000000),
  PRIMARY KEY (royalty, party),
  UNIQUE (royalty, n)
);

CREATE TABLE gateway.resource_royalty (
  resource text NOT NULL REFERENCES gateway.resource,
  royalty  text NOT NULL REFERENCES gateway.royalty,
  n        int NOT NULL CHECK (n BETWEEN 1 AND 32),
  PRIMARY KEY (resource, royalty),
  UNIQUE (resource, n)
);
CREATE INDEX resource_royalty_of ON gateway.resource_royalty (royalty);
CREATE INDEX share_day_resource ON gateway.share_day (resource, day) WHERE role = 'ip_holder';

CREATE FUNCTION gateway.royalty_shares_are_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.open AND (SELECT sum(p.share_ppm) FROM gateway.royalty_party p WHERE p.royalty = NEW.name) IS DISTINCT FROM 1000000 THEN
    RAISE EXCEPTION 'the shares of % are not a whole', NEW.name USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER royalty_shares_are_whole AFTER INSERT OR UPDATE ON gateway.royalty
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION gateway.royalty_shares_are_whole();

-- Alliances of companies: who founded one, who was invited and what they said, what is shared.
CREATE SCHEMA alliances;

CREATE TABLE alliances.alliance (
  id         uuid PRIMARY KEY,
  name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
  purpose    text NOT NULL CHECK (length(purpose) BETWEEN 1 AND 1000),
  founder    uuid NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TABLE alliances.member (
  alliance   uuid NOT NULL REFERENCES alliances.alliance,
  org_id     uuid NOT NULL,
  state      text NOT NULL CHECK (state IN ('invited', 'member', 'declined', 'left')),
  invited_by uuid NOT NULL,                 -- the member that asked
  invited_at timestamptz NOT NULL,
  decided_by text NOT NULL DEFAULT '',      -- whose consent it was
  decided_at timestamptz,
  PRIMARY KEY (alliance, org_id),
  CHECK ((state = 'invited') = (decided_at IS NULL))
);
-- A company is in one alliance at a time: the discount is given once.
CREATE UNIQUE INDEX member_once ON alliances.member (org_id) WHERE state = 'member';
CREATE INDEX member_org ON alliances.member (org_id);

CREATE TABLE alliances.shared (
  alliance  uuid NOT NULL REFERENCES alliances.alliance,
  kind      text NOT NULL CHECK (kind IN ('dataset', 'model')),
  ref       text NOT NULL CHECK (length(ref) BETWEEN 1 AND 200),   -- a data set's id, a model's name
  title     text NOT NULL CHECK (length(title) <= 200),
  org_id    uuid NOT NULL,
  shared_by text NOT NULL,
  shared_at timestamptz NOT NULL,
  PRIMARY KEY (alliance, kind, ref)
);

CREATE TABLE alliances.history (
  seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  alliance uuid NOT NULL REFERENCES alliances.alliance,
  org_id   uuid NOT NULL,
  event    text NOT NULL,
  actor    text NOT NULL,
  at       timestamptz NOT NULL
);
CREATE INDEX history_alliance ON alliances.history (alliance, seq);

CREATE FUNCTION alliances.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'alliances.% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON alliances.history
  FOR EACH STATEMENT EXECUTE FUNCTION alliances.refuse_change();

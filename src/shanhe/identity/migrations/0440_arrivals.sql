-- How people arrive: registrations they make themselves, and invitations into organisations that they answer themselves.
-- A registration that is declined or never looked at goes with its person, whose erasure deletes the row.
CREATE TABLE identity.registration (
  id             uuid PRIMARY KEY,                  -- the client's: sending a form twice opens one account
  person_id      uuid NOT NULL UNIQUE REFERENCES identity.person,
  state          text NOT NULL CHECK (state IN ('waiting', 'open')),
  notice_version text NOT NULL CHECK (length(notice_version) BETWEEN 1 AND 100),   -- of what the person agreed to
  created_at     timestamptz NOT NULL,
  decided_at     timestamptz CHECK (decided_at >= created_at),
  decided_by     text,
  CHECK (num_nulls(decided_at, decided_by) IN (0, 2)),
  CHECK (state = 'open' OR decided_at IS NULL)
);
CREATE INDEX registration_waiting ON identity.registration (created_at) WHERE state = 'waiting';

CREATE TABLE identity.invitation (
  id             uuid PRIMARY KEY,                  -- the client's
  org_id         uuid NOT NULL REFERENCES identity.organisation,
  person_id      uuid NOT NULL REFERENCES identity.person,
  role           text NOT NULL CHECK (role IN ('owner', 'member')),
  department_id  uuid,
  called_sealed  bytea,                             -- the name by which the owner knows the person, and no other
  state          text NOT NULL CHECK (state IN ('pending', 'accepted', 'declined', 'withdrawn', 'lapsed')),
  invited_by     text NOT NULL,
  created_at     timestamptz NOT NULL,
  expires_at     timestamptz NOT NULL CHECK (expires_at > created_at),
  decided_at     timestamptz CHECK (decided_at >= created_at),
  CHECK ((state = 'pending') = (decided_at IS NULL)),
  FOREIGN KEY (org_id, department_id) REFERENCES identity.department (org_id, id)
);
CREATE UNIQUE INDEX invitation_pending ON identity.invitation (org_id, person_id) WHERE state = 'pending';
CREATE INDEX invitation_person ON identity.invitation (person_id) WHERE state = 'pending';
CREATE INDEX invitation_expiry ON identity.invitation (expires_at) WHERE state = 'pending';

-- The content hub: who pays the free tier, what organisations agreed to, profiles, requests, drafts, free uses a month.
CREATE SCHEMA content;

-- Whose credits pay free uses; nobody's until an operator says so. The newest row holds.
CREATE TABLE content.city (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  org_id  uuid,                                      -- none = the free tier is closed
  set_by  text NOT NULL,
  set_at  timestamptz NOT NULL
);

CREATE TABLE content.terms (
  org_id    uuid PRIMARY KEY,
  own       text NOT NULL CHECK (own IN ('none', 'month', 'always')),
  own_month date CHECK (extract(day FROM own_month) = 1),
  set_by    text NOT NULL,
  set_at    timestamptz NOT NULL,
  CHECK ((own = 'month') = (own_month IS NOT NULL))
);

-- Free uses of a month of the city. The row's lock is what makes the last one go to one draft alone.
CREATE TABLE content.month (
  org_id uuid NOT NULL,
  month  date NOT NULL CHECK (extract(day FROM month) = 1),
  used   int NOT NULL DEFAULT 0 CHECK (used >= 0),
  PRIMARY KEY (org_id, month)
);

CREATE TABLE content.profile (
  id         uuid PRIMARY KEY,
  org_id     uuid NOT NULL,
  name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 4000),
  fields     jsonb NOT NULL,
  made_by    text NOT NULL,
  made_at    timestamptz NOT NULL,
  changed_at timestamptz NOT NULL
);
CREATE INDEX profile_of ON content.profile (org_id, id DESC);

CREATE TABLE content.job (
  id      uuid PRIMARY KEY,
  org_id  uuid NOT NULL,
  kind    text NOT NULL,
  form    jsonb NOT NULL,
  model   text NOT NULL,
  asked   int NOT NULL CHECK (asked BETWEEN 1 AND 3),
  made_by text NOT NULL,
  made_at timestamptz NOT NULL
);
CREATE INDEX job_of ON content.job (org_id, id DESC);

-- One draft is one call of a model. A free one counts in its month from here until it fails.
CREATE TABLE content.draft (
  id         uuid PRIMARY KEY,
  job        uuid NOT NULL REFERENCES content.job,
  org_id     uuid NOT NULL,
  n          int NOT NULL CHECK (n BETWEEN 1 AND 3),
  kind       text NOT NULL,
  model      text NOT NULL,
  state      text NOT NULL CHECK (state IN ('waiting', 'writing', 'done', 'failed')),
  payer      text NOT NULL CHECK (payer IN ('city', 'own')),
  payer_org  uuid NOT NULL,
  key_id     uuid NOT NULL,
  month      date NOT NULL CHECK (extract(day FROM month) = 1),
  decision   jsonb NOT NULL,                         -- what the rule was asked and said (B10)
  receipt_id uuid UNIQUE,
  paid_micro bigint NOT NULL DEFAULT 0 CHECK (paid_micro >= 0),
  title      text NOT NULL DEFAULT '',
  text       text NOT NULL DEFAULT '',
  written    jsonb,                                  -- what the model wrote, kept before it is charged
  why        jsonb,                                  -- of a failure: what happened, zh and en
  error      text NOT NULL DEFAULT '',
  worker     text,
  taken_at   timestamptz,
  made_at    timestamptz NOT NULL,
  ended_at   timestamptz,
  edited_at  timestamptz,
  UNIQUE (job, n),
  CHECK ((payer = 'own') = (payer_org = org_id)),
  CHECK ((state = 'writing') = (worker IS NOT NULL AND taken_at IS NOT NULL)),
  CHECK ((state IN ('done', 'failed')) = (ended_at IS NOT NULL)),
  CHECK (state <> 'done' OR (receipt_id IS NOT NULL AND text <> '')),
  CHECK ((state = 'failed') = (error <> '')),
  CHECK (state = 'done' OR paid_micro = 0)
);
CREATE INDEX draft_of ON content.draft (org_id, id DESC);
CREATE INDEX draft_due ON content.draft (id) WHERE state = 'waiting';
CREATE INDEX draft_taken ON content.draft (taken_at) WHERE state = 'writing';
CREATE INDEX draft_ended ON content.draft (ended_at) WHERE ended_at IS NOT NULL;

-- Data sets, their versions (rows lie in blobs), and what was made of them.
CREATE SCHEMA datasets;

CREATE TABLE datasets.dataset (
  id           uuid PRIMARY KEY,
  org_id       uuid NOT NULL,
  name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
  form         text NOT NULL CHECK (form IN ('pairs', 'errors', 'text')),
  licence      text NOT NULL CHECK (length(licence) BETWEEN 1 AND 80),
  consent      text NOT NULL CHECK (consent IN ('own', 'consent', 'contract', 'public')),
  note         text NOT NULL DEFAULT '' CHECK (length(note) <= 500),
  made_by      text NOT NULL,
  made_at      timestamptz NOT NULL,
  archived_at  timestamptz
);
CREATE UNIQUE INDEX dataset_name ON datasets.dataset (org_id, name) WHERE archived_at IS NULL;

CREATE TABLE datasets.version (
  id          uuid PRIMARY KEY,
  dataset_id  uuid NOT NULL REFERENCES datasets.dataset,
  number      integer NOT NULL CHECK (number > 0),
  parent      uuid REFERENCES datasets.version,
  sha256      bytea NOT NULL CHECK (length(sha256) = 32),
  rows        integer NOT NULL CHECK (rows > 0),
  size_bytes  bigint NOT NULL CHECK (size_bytes > 0),
  personal    integer NOT NULL CHECK (personal >= 0),   -- findings of personal data that are still in it
  recipe      jsonb NOT NULL,
  report      jsonb NOT NULL,
  made_by     text NOT NULL,
  made_at     timestamptz NOT NULL,
  forgotten_at timestamptz,                             -- its rows are gone; hash and report stay
  UNIQUE (dataset_id, number),
  UNIQUE (dataset_id, sha256)
);

-- What was made of a version: lineage from data to models.
CREATE TABLE datasets.use (
  version_id  uuid NOT NULL REFERENCES datasets.version,
  purpose     text NOT NULL CHECK (purpose IN ('train', 'evaluate')),
  ref         text NOT NULL CHECK (length(ref) BETWEEN 1 AND 200),
  name        text NOT NULL,
  at          timestamptz NOT NULL,
  PRIMARY KEY (version_id, purpose, ref)
);

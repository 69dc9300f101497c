-- Knowledge bases, their documents and passages, who may read them, and how well they find.
CREATE EXTENSION IF NOT EXISTS vector;
CREATE SCHEMA retrieval;

CREATE TABLE retrieval.base (
  id           uuid PRIMARY KEY,
  org_id       uuid NOT NULL,
  name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 600),        -- sealed for a person
  reach        text NOT NULL CHECK (reach IN ('listed', 'org', 'city')),
  data_class   text NOT NULL CHECK (data_class IN ('general', 'citizen', 'government')),
  model        text NOT NULL CHECK (length(model) <= 128),                  -- of its vectors; empty = words only
  reranker     text NOT NULL DEFAULT '' CHECK (length(reranker) <= 128),    -- a chat or rerank model; empty = none
  support_bps  integer NOT NULL CHECK (support_bps BETWEEN 0 AND 10000),    -- below it nothing supports an answer
  secret       text NOT NULL,                                               -- blinds a person's words; sealed
  personal     boolean NOT NULL,
  key_id       uuid,                                                        -- the key that pays where no caller does
  made_by      text NOT NULL,
  made_at      timestamptz NOT NULL,
  archived_at  timestamptz
);
CREATE INDEX base_of ON retrieval.base (org_id) WHERE archived_at IS NULL;

CREATE TABLE retrieval.reader (
  base_id  uuid NOT NULL REFERENCES retrieval.base,
  kind     text NOT NULL CHECK (kind IN ('org', 'person')),
  reader   uuid NOT NULL,
  by       text NOT NULL,
  at       timestamptz NOT NULL,
  PRIMARY KEY (base_id, kind, reader)
);

CREATE TABLE retrieval.document (
  id           uuid PRIMARY KEY,
  base_id      uuid NOT NULL REFERENCES retrieval.base,
  name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 1200),       -- sealed for a person
  name_hash    bytea NOT NULL,                                              -- finds it again under its name
  format       text NOT NULL DEFAULT '',
  sha256       bytea NOT NULL CHECK (length(sha256) = 32),
  size_bytes   bigint NOT NULL CHECK (size_bytes > 0),
  blob         uuid NOT NULL,
  state        text NOT NULL CHECK (state IN ('waiting', 'reading', 'embedding', 'ready', 'failed')),
  done         integer NOT NULL DEFAULT 0 CHECK (done >= 0),
  total        integer NOT NULL DEFAULT 0 CHECK (total >= 0),
  pages        integer NOT NULL DEFAULT 0 CHECK (pages >= 0),
  paid_micro   bigint NOT NULL DEFAULT 0 CHECK (paid_micro >= 0),
  error        jsonb,
  key_id       uuid,
  worker       text NOT NULL DEFAULT '',
  seen_at      timestamptz,                                                 -- last sign of its worker
  made_by      text NOT NULL,
  made_at      timestamptz NOT NULL,
  indexed_at   timestamptz
);
CREATE UNIQUE INDEX document_name ON retrieval.document (base_id, name_hash);
CREATE INDEX document_open ON retrieval.document (made_at) WHERE state IN ('waiting', 'reading', 'embedding');

CREATE TABLE retrieval.chunk (
  id           uuid PRIMARY KEY,
  base_id      uuid NOT NULL REFERENCES retrieval.base,
  document_id  uuid NOT NULL REFERENCES retrieval.document ON DELETE CASCADE,
  n            integer NOT NULL CHECK (n > 0),
  page         integer NOT NULL CHECK (page > 0),
  box          smallint[] NOT NULL CHECK (array_length(box, 1) = 4),        -- left, top, right, bottom in ‱ of the page
  place        text NOT NULL DEFAULT '',                                    -- in the document's own words, like a sheet
  heading      text NOT NULL,
  text         text NOT NULL,
  source       bytea NOT NULL,                                              -- hash of what was read there
  words        tsvector NOT NULL,
  length       integer NOT NULL CHECK (length >= 0),
  vector       vector,
  sealed       text NOT NULL DEFAULT '',                                    -- a person's vector
  edited_by    text,
  edited_at    timestamptz,
  UNIQUE (document_id, n)
);
CREATE INDEX chunk_base ON retrieval.chunk (base_id);
CREATE INDEX chunk_words ON retrieval.chunk USING gin (words);

-- Vectors that are paid for while their document is still being read: a process that ends does not cost them twice.
CREATE TABLE retrieval.embedded (
  document_id  uuid NOT NULL REFERENCES retrieval.document ON DELETE CASCADE,
  source       bytea NOT NULL,
  vector       vector,
  sealed       text NOT NULL DEFAULT '',
  PRIMARY KEY (document_id, source)
);

CREATE TABLE retrieval.question (
  id          uuid PRIMARY KEY,
  base_id     uuid NOT NULL REFERENCES retrieval.base,
  n           integer NOT NULL,
  asked       text NOT NULL,                                                -- sealed for a person
  document    text NOT NULL,                                                -- where the answer stands; empty = nowhere
  contains    text NOT NULL,                                                -- what a passage that answers it says
  UNIQUE (base_id, n)
);

CREATE TABLE retrieval.evaluation (
  id          uuid PRIMARY KEY,
  base_id     uuid NOT NULL REFERENCES retrieval.base,
  asked       integer NOT NULL,
  answerable  integer NOT NULL,
  found_bps   integer NOT NULL,
  cited_bps   integer NOT NULL,
  declined_bps integer NOT NULL,
  result      jsonb NOT NULL,
  paid_micro  bigint NOT NULL,
  by          text NOT NULL,
  at          timestamptz NOT NULL
);
CREATE INDEX evaluation_of ON retrieval.evaluation (base_id, at DESC);

-- Every reading of passages goes through these functions, and each of them asks this one.
CREATE FUNCTION retrieval.readable(asks_org uuid, asks_person uuid) RETURNS SETOF uuid
LANGUAGE sql STABLE AS $$
  SELECT b.id FROM retrieval.base b
   WHERE b.archived_at IS NULL
     AND (b.reach = 'city' OR (b.reach = 'org' AND b.org_id = asks_org)
          OR EXISTS (SELECT FROM retrieval.reader r WHERE r.base_id = b.id
                        AND ((r.kind = 'org' AND r.reader = asks_org) OR (r.kind = 'person' AND r.reader = asks_person))))
$$;

-- BM25 (Robertson & Zaragoza 2009, k1 = 1.2, b = 0.75). Each token is one look into the index; how often it stands in a
-- passage is counted only for the passages that lead without that.
CREATE FUNCTION retrieval.by_words(
  asks_org uuid, asks_person uuid, bases uuid[], tokens text[], most integer
) RETURNS TABLE (chunk_id uuid, score double precision, matched text[])
LANGUAGE sql STABLE AS $$
  WITH open AS MATERIALIZED (
    SELECT r AS base_id FROM retrieval.readable(asks_org, asks_person) r WHERE r = ANY (bases)
  ), size AS (
    SELECT greatest(count(*), 1)::double precision AS n, greatest(avg(c.length), 1)::double precision AS mean
      FROM retrieval.chunk c JOIN open USING (base_id)
  ), hit AS MATERIALIZED (
    SELECT c.id, c.length, t.token
      FROM unnest(tokens) t(token)
      JOIN retrieval.chunk c ON c.words @@ ('''' || replace(replace(t.token, '\', '\\'), '''', '''''') || '''')::tsquery
      JOIN open USING (base_id)
  ), weight AS (
    SELECT h.token, ln(1 + (s.n - count(*) + 0.5) / (count(*) + 0.5)) AS idf
      FROM hit h, size s GROUP BY h.token, s.n
  ), first AS (
    SELECT h.id, h.length, sum(w.idf) AS sum, array_agg(h.token) AS matched
      FROM hit h JOIN weight w USING (token) GROUP BY h.id, h.length ORDER BY sum DESC, h.id LIMIT 4 * most
  )
  SELECT f.id, sum(w.idf * u.tf * 2.2 / (u.tf + 1.2 * (0.25 + 0.75 * f.length / s.mean))), f.matched
    FROM first f
    JOIN retrieval.chunk c ON c.id = f.id
    CROSS JOIN size s
    CROSS JOIN LATERAL (
      SELECT x.lexeme, coalesce(array_length(x.positions, 1), 1)::double precision AS tf FROM unnest(c.words) x
       WHERE x.lexeme = ANY (f.matched)
    ) u
    JOIN weight w ON w.token = u.lexeme
   GROUP BY f.id, f.matched ORDER BY 2 DESC, f.id LIMIT most
$$;

CREATE FUNCTION retrieval.by_meaning(
  asks_org uuid, asks_person uuid, bases uuid[], asked vector, most integer
) RETURNS TABLE (chunk_id uuid, score double precision)
LANGUAGE sql STABLE AS $$
  SELECT c.id, 1 - (c.vector <=> asked)
    FROM retrieval.chunk c
   WHERE c.base_id IN (SELECT r FROM retrieval.readable(asks_org, asks_person) r WHERE r = ANY (bases))
     AND c.vector IS NOT NULL AND vector_dims(c.vector) = vector_dims(asked)
   ORDER BY c.vector <=> asked, c.id LIMIT most
$$;

CREATE FUNCTION retrieval.sealed_vectors(
  asks_org uuid, asks_person uuid, bases uuid[], most integer
) RETURNS TABLE (chunk_id uuid, org_id uuid, sealed text)
LANGUAGE sql STABLE AS $$
  SELECT c.id, b.org_id, c.sealed
    FROM retrieval.chunk c JOIN retrieval.base b ON b.id = c.base_id
   WHERE c.base_id IN (SELECT r FROM retrieval.readable(asks_org, asks_person) r WHERE r = ANY (bases))
     AND c.sealed <> '' LIMIT most
$$;

CREATE FUNCTION retrieval.passages(
  asks_org uuid, asks_person uuid, wanted uuid[]
) RETURNS TABLE (
  id uuid, base_id uuid, org_id uuid, document_id uuid, document text, pages integer, n integer, page integer,
  box smallint[], place text, heading text, text text, length integer, edited_by text
)
LANGUAGE sql STABLE AS $$
  SELECT c.id, c.base_id, b.org_id, d.id, d.name, d.pages, c.n, c.page, c.box, c.place, c.heading, c.text, c.length,
         c.edited_by
    FROM retrieval.chunk c
    JOIN retrieval.document d ON d.id = c.document_id
    JOIN retrieval.base b ON b.id = c.base_id
   WHERE c.id = ANY (wanted) AND c.base_id IN (SELECT retrieval.readable(asks_org, asks_person))
$$;

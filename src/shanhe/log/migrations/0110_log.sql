-- The transparency log. `entry` is what tiles are made of and can make them again; `opening` is what may be forgotten.

CREATE SCHEMA log;

-- Who assigns indices, how far, and how far the ledger was read. One row; its lock is the queue of writers.
CREATE TABLE log.head (
  one       boolean PRIMARY KEY DEFAULT true CHECK (one),
  epoch     bigint NOT NULL DEFAULT 0,       -- only grows; a write under an older one is refused
  holder    text NOT NULL DEFAULT '',
  until     timestamptz,                     -- end of the holder's lease
  size      bigint NOT NULL DEFAULT 0 CHECK (size >= 0),
  feed_born bigint NOT NULL DEFAULT 0,
  feed_id   uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  pending   jsonb NOT NULL DEFAULT '{}'      -- amounts since the last totals entry
);
INSERT INTO log.head DEFAULT VALUES;

CREATE TABLE log.entry (
  idx     bigint PRIMARY KEY CHECK (idx >= 0),
  subject uuid NOT NULL,
  kind    text NOT NULL,
  leaf    bytea NOT NULL CHECK (octet_length(leaf) BETWEEN 1 AND 65535)
);
CREATE UNIQUE INDEX entry_subject ON log.entry (subject);

CREATE TABLE log.opening (
  idx     bigint PRIMARY KEY,
  salt    bytea NOT NULL CHECK (octet_length(salt) = 16),
  private bytea                              -- NULL for postings: the ledger has it
);

-- What other modules hand in, inside their own transactions; sealed in the order of those.
CREATE TABLE log.intake (
  id      uuid PRIMARY KEY,
  born    bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
  kind    text NOT NULL,
  public  bytea NOT NULL,
  private bytea
);
CREATE INDEX intake_born ON log.intake (born, id);

CREATE TABLE log.checkpoint (
  size     bigint PRIMARY KEY,
  root     bytea NOT NULL CHECK (octet_length(root) = 32),
  note     text NOT NULL,
  cosigned int NOT NULL DEFAULT 0,
  at       timestamptz NOT NULL
);

CREATE TABLE log.witness (
  vkey     text PRIMARY KEY,
  added_by text NOT NULL,
  added_at timestamptz NOT NULL
);

CREATE FUNCTION log.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the log is append-only: % is refused', TG_OP USING ERRCODE = 'SH003';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log.entry
  FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();

-- The epoch to write under, or NULL while another holder's lease lasts. A holder keeps its epoch as long as it renews.
CREATE FUNCTION log.lead(p_holder text, p_epoch bigint, p_now timestamptz, p_until timestamptz) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE v log.head;
BEGIN
  SELECT * INTO STRICT v FROM log.head FOR UPDATE;
  IF v.holder = p_holder AND v.epoch = p_epoch THEN
    UPDATE log.head SET until = p_until;
    RETURN v.epoch;
  END IF;
  IF v.until > p_now THEN RETURN NULL; END IF;
  UPDATE log.head SET epoch = v.epoch + 1, holder = p_holder, until = p_until;
  RETURN v.epoch + 1;
END $$;

-- Gives entries their indices. SH010: written under an old epoch, or not at the end of the log.
CREATE FUNCTION log.append(
  p_epoch bigint, p_first bigint, e_subject uuid[], e_kind text[], e_leaf bytea[], o_idx bigint[], o_salt bytea[],
  o_private bytea[], p_intake uuid[], p_born bigint, p_id uuid, p_pending jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v log.head;
BEGIN
  SELECT * INTO STRICT v FROM log.head FOR UPDATE;
  IF v.epoch <> p_epoch OR v.size <> p_first THEN
    RAISE EXCEPTION 'epoch % at % writes to a log of epoch % at %', p_epoch, p_first, v.epoch, v.size
      USING ERRCODE = 'SH010';
  END IF;
  INSERT INTO log.entry SELECT p_first + e.n - 1, e.subject, e.kind, e.leaf
    FROM unnest(e_subject, e_kind, e_leaf) WITH ORDINALITY e(subject, kind, leaf, n);
  INSERT INTO log.opening SELECT * FROM unnest(o_idx, o_salt, o_private);
  IF cardinality(p_intake) > 0 THEN DELETE FROM log.intake WHERE id = ANY(p_intake); END IF;
  UPDATE log.head SET size = v.size + cardinality(e_subject), feed_born = p_born, feed_id = p_id, pending = p_pending;
END $$;

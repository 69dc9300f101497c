-- Sheets: some hundred neighbouring postings in one row, where a row and three index entries for each were most of what
-- sealing took of the database. Entries sealed before stay rows, and so do records, totals, and postings that come in ones and twos.

CREATE TYPE log.ids AS RANGE (subtype = uuid);

CREATE TABLE log.sheet (
  first    bigint PRIMARY KEY CHECK (first >= 0),   -- index of the first entry; the others follow
  subjects uuid[] NOT NULL CHECK (cardinality(subjects) BETWEEN 1 AND 256),
  leaves   bytea NOT NULL,                          -- as in a tile's bundle: each after its length
  span     log.ids NOT NULL                         -- from the least subject to the greatest
);
ALTER TABLE log.sheet ALTER subjects SET STORAGE EXTERNAL, ALTER leaves SET STORAGE EXTERNAL;
CREATE INDEX sheet_span ON log.sheet USING gist (span);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log.sheet
  FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();

-- What may be forgotten: 16 bytes for each entry of a sheet, zeros once they are shredded.
CREATE TABLE log.sheet_salts (
  first bigint PRIMARY KEY,
  salts bytea NOT NULL CHECK (octet_length(salts) BETWEEN 16 AND 4096 AND octet_length(salts) % 16 = 0)
);
ALTER TABLE log.sheet_salts ALTER salts SET STORAGE EXTERNAL;

-- Postings born before this may have been sealed already, because a recovery reads the ledger again: they are looked for.
ALTER TABLE log.head ADD COLUMN again bigint NOT NULL DEFAULT 0;
UPDATE log.head SET again = pg_current_xact_id()::text::bigint;

DROP FUNCTION log.append(bigint, bigint, uuid[], text[], bytea[], bigint[], bytea[], bytea[], uuid[], bigint, uuid, jsonb);

-- Gives entries their indices: those of sheets first, in the order of `s_subject`, then rows. SH010: written under an old
-- epoch, or not at the end of the log.
CREATE FUNCTION log.append(
  p_epoch bigint, p_first bigint, s_subject uuid[], s_count int[], s_leaves bytea[], s_salts bytea[],
  e_subject uuid[], e_kind text[], e_leaf bytea[], o_idx bigint[], o_salt bytea[], o_private bytea[],
  p_intake uuid[], p_born bigint, p_id uuid, p_pending jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v log.head;
  v_at int := 0;
  v_ids uuid[];
BEGIN
  SELECT * INTO STRICT v FROM log.head FOR UPDATE;
  IF v.epoch <> p_epoch OR v.size <> p_first THEN
    RAISE EXCEPTION 'epoch % at % writes to a log of epoch % at %', p_epoch, p_first, v.epoch, v.size
      USING ERRCODE = 'SH010';
  END IF;
  FOR n IN 1 .. cardinality(s_count) LOOP
    v_ids := s_subject[v_at + 1 : v_at + s_count[n]];
    INSERT INTO log.sheet VALUES (p_first + v_at, v_ids, s_leaves[n], log.ids(v_ids[1], v_ids[s_count[n]], '[]'));
    INSERT INTO log.sheet_salts VALUES (p_first + v_at, s_salts[n]);
    v_at := v_at + s_count[n];
  END LOOP;
  INSERT INTO log.entry SELECT p_first + v_at + e.n - 1, e.subject, e.kind, e.leaf
    FROM unnest(e_subject, e_kind, e_leaf) WITH ORDINALITY e(subject, kind, leaf, n);
  INSERT INTO log.opening SELECT * FROM unnest(o_idx, o_salt, o_private);
  IF cardinality(p_intake) > 0 THEN DELETE FROM log.intake WHERE id = ANY(p_intake); END IF;
  UPDATE log.head SET size = p_first + v_at + cardinality(e_subject), feed_born = p_born, feed_id = p_id, pending = p_pending;
END $$;

-- Destroys the salts of entries; how many there were.
CREATE FUNCTION log.shred(p_subjects uuid[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_gone bytea := decode(repeat('00', 16), 'hex');
  v_done bigint;
  v_sheet record;
  v_salts bytea;
  v_place int;
BEGIN
  DELETE FROM log.opening o USING log.entry e WHERE e.idx = o.idx AND e.subject = ANY(p_subjects);
  GET DIAGNOSTICS v_done = ROW_COUNT;
  FOR v_sheet IN
    SELECT s.first, array_agg(array_position(s.subjects, u.id) - 1) AS places
      FROM unnest(p_subjects) u(id) JOIN log.sheet s ON s.span @> u.id AND u.id = ANY(s.subjects)
     GROUP BY s.first ORDER BY s.first
  LOOP
    SELECT salts INTO STRICT v_salts FROM log.sheet_salts WHERE first = v_sheet.first FOR UPDATE;
    FOREACH v_place IN ARRAY v_sheet.places LOOP
      IF substring(v_salts FROM v_place * 16 + 1 FOR 16) <> v_gone THEN
        v_salts := overlay(v_salts PLACING v_gone FROM v_place * 16 + 1 FOR 16);
        v_done := v_done + 1;
      END IF;
    END LOOP;
    UPDATE log.sheet_salts SET salts = v_salts WHERE first = v_sheet.first AND salts <> v_salts;
  END LOOP;
  RETURN v_done;
END $$;

-- A sheet's entries differ in their commitments: the rest of them, some 440 bytes, is the same for all calls of a day under
-- the same rules. A sheet sealed from now on keeps the rest once.

ALTER TABLE log.sheet ADD COLUMN forms bytea;  -- entries without their commitments, as in a bundle. NULL: `leaves` has them whole;
ALTER TABLE log.sheet ALTER forms SET STORAGE EXTERNAL;  -- else `leaves` has for each entry its form's number, a byte, and 32 of commitment

DROP FUNCTION log.append(
  bigint, bigint, uuid[], int[], bytea[], bytea[], uuid[], text[], bytea[], bigint[], bytea[], bytea[], uuid[], bigint, uuid, jsonb
);

-- Gives entries their indices: those of sheets first, in the order of `s_subject`, then rows. SH010: written under an old
-- epoch, or not at the end of the log.
CREATE FUNCTION log.append(
  p_epoch bigint, p_first bigint, s_subject uuid[], s_count int[], s_forms bytea[], s_leaves bytea[], s_salts bytea[],
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
    INSERT INTO log.sheet (first, subjects, forms, leaves, span)
      VALUES (p_first + v_at, v_ids, s_forms[n], s_leaves[n], log.ids(v_ids[1], v_ids[s_count[n]], '[]'));
    INSERT INTO log.sheet_salts VALUES (p_first + v_at, s_salts[n]);
    v_at := v_at + s_count[n];
  END LOOP;
  INSERT INTO log.entry SELECT p_first + v_at + e.n - 1, e.subject, e.kind, e.leaf
    FROM unnest(e_subject, e_kind, e_leaf) WITH ORDINALITY e(subject, kind, leaf, n);
  INSERT INTO log.opening SELECT * FROM unnest(o_idx, o_salt, o_private);
  IF cardinality(p_intake) > 0 THEN DELETE FROM log.intake WHERE id = ANY(p_intake); END IF;
  UPDATE log.head SET size = p_first + v_at + cardinality(e_subject), feed_born = p_born, feed_id = p_id, pending = p_pending;
END $$;

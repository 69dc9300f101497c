-- Acts: who changed what, when, through which door, from what to what. `details` of a change: {"before": …, "after": …,
-- "hidden": columns that changed as well and whose content is not for a record that outlives an erasure}.
CREATE FUNCTION kernel.acts_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'kernel.act is append-only: % is refused', TG_OP USING ERRCODE = 'restrict_violation';
END $$;
DROP TRIGGER audit_append_only ON kernel.act;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON kernel.act
  FOR EACH STATEMENT EXECUTE FUNCTION kernel.acts_stay();

-- Writes the act beside the change. Arguments: the columns of the key, and the columns of text that may be shown: codes,
-- names that were chosen to be public, who did it. Ids, numbers, days and marks always may; of all else only is said
-- that it changed.
CREATE FUNCTION kernel.note_act() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  act     jsonb := current_setting('shanhe.act')::jsonb;
  was     jsonb := CASE WHEN TG_OP = 'INSERT' THEN '{}' ELSE jsonb_strip_nulls(to_jsonb(OLD)) END;
  becomes jsonb := CASE WHEN TG_OP = 'DELETE' THEN '{}' ELSE jsonb_strip_nulls(to_jsonb(NEW)) END;
  place   text := TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME;
  n       integer := coalesce(nullif(current_setting('shanhe.act_row', true), ''), '0')::integer;
  before  jsonb := '{}';
  after   jsonb := '{}';
  hidden  jsonb := '[]';
  one     record;
  key     text;
  owner   text;
BEGIN
  FOR one IN
    SELECT attname AS name,
           atttypid = ANY ('{uuid,boolean,smallint,integer,bigint,numeric,date,timestamptz}'::regtype[])
             OR attname = ANY (string_to_array(TG_ARGV[1], ',')) AS shown
      FROM pg_attribute WHERE attrelid = TG_RELID AND attnum > 0 AND NOT attisdropped ORDER BY attnum
  LOOP
    CONTINUE WHEN was -> one.name IS NOT DISTINCT FROM becomes -> one.name;
    IF NOT one.shown THEN
      hidden := hidden || to_jsonb(one.name);
      CONTINUE;
    END IF;
    IF was ? one.name THEN
      before := before || jsonb_build_object(one.name, kernel.short(was -> one.name));
    END IF;
    IF becomes ? one.name THEN
      after := after || jsonb_build_object(one.name, kernel.short(becomes -> one.name));
    END IF;
  END LOOP;
  IF before = '{}' AND after = '{}' AND hidden = '[]' THEN
    RETURN NULL;
  END IF;
  SELECT string_agg(coalesce((becomes || was) ->> name, ''), '/' ORDER BY n_of) INTO key
    FROM unnest(string_to_array(TG_ARGV[0], ',')) WITH ORDINALITY AS keys (name, n_of);
  owner := coalesce(becomes, was) ->> 'org_id';
  INSERT INTO kernel.act (id, at, actor, action, object, org_id, details, door) VALUES (
    -- Rows of one transaction in the order in which they came, none like another's.
    (left(act ->> 'id', 31) || lpad(to_hex(n), 5, '0'))::uuid,
    (act ->> 'at')::timestamptz, act ->> 'who',
    place || CASE TG_OP WHEN 'INSERT' THEN '.add' WHEN 'UPDATE' THEN '.change' ELSE '.remove' END,
    left(place || ':' || key, 200), nullif(owner, '')::uuid,
    jsonb_strip_nulls(jsonb_build_object(
      'before', nullif(before, '{}'), 'after', nullif(after, '{}'), 'hidden', nullif(hidden, '[]'))),
    act ->> 'door');
  PERFORM set_config('shanhe.act_row', (n + 1)::text, true);
  RETURN NULL;
END $$;

CREATE FUNCTION kernel.short(value jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN jsonb_typeof(value) = 'string' THEN to_jsonb(left(value #>> '{}', 200))
              WHEN length(value::text) > 200 THEN to_jsonb(left(value::text, 200)) ELSE value END
$$;

-- From here on changes of this table by somebody who acts for the city are written down; `texts`: which of its columns
-- of text may be shown. Called again, it replaces what was said before.
CREATE FUNCTION kernel.watch(place regclass, texts text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  key text;
BEGIN
  SELECT string_agg(attname, ',' ORDER BY array_position(indkey::int[], attnum::int)) INTO STRICT key
    FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
   WHERE indrelid = place AND indisprimary;
  EXECUTE format('DROP TRIGGER IF EXISTS acts ON %s', place);
  EXECUTE format(
    'CREATE TRIGGER acts AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW '
    'WHEN (current_setting(''shanhe.act'', true) <> '''') EXECUTE FUNCTION kernel.note_act(%L, %L)',
    place, key, replace(texts, ' ', ''));
END $$;

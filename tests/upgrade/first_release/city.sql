--
-- PostgreSQL database dump
--

\restrict Wrez0Sal5E79v9v4ZzKfmjHw439g6fzU2SeJu8nVBMRABtBWlABqQHvG2IpqPDA

-- Dumped from database version 18.4
-- Dumped by pg_dump version 18.4

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: compute; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA compute;


--
-- Name: credits; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA credits;


--
-- Name: gateway; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA gateway;


--
-- Name: identity; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA identity;


--
-- Name: kernel; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA kernel;


--
-- Name: ledger; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA ledger;


--
-- Name: payments; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA payments;


--
-- Name: rulebook; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA rulebook;


--
-- Name: refuse_change(); Type: FUNCTION; Schema: identity; Owner: -
--

CREATE FUNCTION identity.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  RAISE EXCEPTION 'identity.% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;


--
-- Name: tell_key(); Type: FUNCTION; Schema: identity; Owner: -
--

CREATE FUNCTION identity.tell_key() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  PERFORM pg_notify('identity_keys', 'key:' || encode(NEW.token_sha256, 'hex'));
  RETURN NULL;
END $$;


--
-- Name: tell_organisation(); Type: FUNCTION; Schema: identity; Owner: -
--

CREATE FUNCTION identity.tell_organisation() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  PERFORM pg_notify('identity_keys', 'org:' || NEW.id::text);
  RETURN NULL;
END $$;


--
-- Name: available(uuid, timestamp with time zone, jsonb); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.available(p_account uuid, p_now timestamp with time zone, p_facts jsonb) RETURNS bigint
    LANGUAGE sql STABLE
    AS $$
  SELECT CASE
    WHEN a.lots THEN least(a.balance - a.held - coalesce(a.floor, 0), (
      SELECT coalesce(sum(l.remaining - l.held), 0) FROM ledger.lot l
      WHERE l.account = a.id AND l.open AND (l.spendable_at IS NULL OR l.spendable_at <= p_now)
        AND (l.expires_at IS NULL OR l.expires_at > p_now)
        AND (l.earmark IS NULL OR coalesce(p_facts, '{}') @> l.earmark)))
    WHEN a.floor IS NULL THEN 4611686018427387904
    ELSE a.balance - a.held - a.floor END
  FROM ledger.account a WHERE a.id = p_account
$$;


--
-- Name: counter_return(uuid[], text[], text[], bigint[]); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.counter_return(p_scope uuid[], p_name text[], p_win text[], p_back bigint[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE r record;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  FOR r IN SELECT * FROM unnest(p_scope, p_name, p_win, p_back) q(scope, name, win, back) ORDER BY 1, 2, 3 LOOP
    UPDATE ledger.counter c SET used = greatest(0, c.used - r.back)
      WHERE (c.scope, c.name, c.win) = (r.scope, r.name, r.win);
  END LOOP;
END $$;


--
-- Name: counter_take(timestamp with time zone, uuid[], text[], text[], bigint[], bigint[], bigint); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.counter_take(p_now timestamp with time zone, p_scope uuid[], p_name text[], p_win text[], p_cap bigint[], p_need bigint[], p_parts bigint) RETURNS TABLE(ord integer, granted bigint, used_now bigint)
    LANGUAGE plpgsql
    AS $$
DECLARE r record; v_used bigint; v_room bigint;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);  -- a crash may forget a second of counting, never money
  FOR r IN SELECT q.* FROM unnest(p_scope, p_name, p_win, p_cap, p_need)
           WITH ORDINALITY q(scope, name, win, cap, need, n) ORDER BY q.scope, q.name, q.win LOOP
    INSERT INTO ledger.counter AS c VALUES (r.scope, r.name, r.win, 0, p_now)
      ON CONFLICT (scope, name, win) DO UPDATE SET touched = p_now RETURNING c.used INTO v_used;
    v_room := r.cap - v_used;
    ord := r.n;
    IF v_room < r.need THEN
      granted := 0;
      PERFORM pg_notify('ledger_counter', concat_ws(chr(31), r.scope, r.name, r.win));
    ELSE
      granted := greatest(r.need, v_room / p_parts);
      UPDATE ledger.counter c SET used = c.used + granted WHERE (c.scope, c.name, c.win) = (r.scope, r.name, r.win);
      v_used := v_used + granted;
    END IF;
    used_now := v_used;
    RETURN NEXT;
  END LOOP;
END $$;


--
-- Name: guard_lineage(); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.guard_lineage() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE v_parent ledger.lot;
BEGIN
  SELECT * INTO STRICT v_parent FROM ledger.lot WHERE id = NEW.parent;
  IF v_parent.provenance = 'subsidy' AND NEW.provenance <> 'subsidy' THEN
    RAISE EXCEPTION 'lot % is subsidy: what it pays stays subsidy', v_parent.id USING ERRCODE = 'SH004';
  END IF;
  IF NEW.provenance = 'exchange' AND v_parent.unlock_at > NEW.issued_at THEN
    RAISE EXCEPTION 'lot % is locked until %', v_parent.id, v_parent.unlock_at USING ERRCODE = 'SH004';
  END IF;
  RETURN NEW;
END $$;


--
-- Name: hold(timestamp with time zone, text[], uuid[], uuid[], bigint[], text[], timestamp with time zone[], jsonb[]); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.hold(p_now timestamp with time zone, p_order text[], p_id uuid[], p_account uuid[], p_amount bigint[], p_purpose text[], p_expires timestamp with time zone[], p_facts jsonb[]) RETURNS TABLE(ord integer, verdict text, available bigint, leased bigint, lots uuid[], amounts bigint[], provenances text[], expiries timestamp with time zone[])
    LANGUAGE plpgsql
    AS $$
DECLARE
  v_accounts uuid[]; v_tight uuid[]; v_known int[]; v_account uuid; r record; v_leased bigint; v_available bigint;
  v_lots uuid[]; v_amounts bigint[];
BEGIN
  SELECT array_agg(DISTINCT a ORDER BY a) INTO v_accounts FROM unnest(p_account) a;
  PERFORM FROM ledger.account a WHERE a.id = ANY(v_accounts) ORDER BY a.id FOR NO KEY UPDATE;
  FOREACH v_account IN ARRAY v_accounts LOOP
    PERFORM ledger.reclaim_account(v_account, p_now);
  END LOOP;
  SELECT coalesce(array_agg(q.n::int), '{}') INTO v_known FROM unnest(p_id) WITH ORDINALITY q(id, n)
    JOIN ledger.hold h ON h.id = q.id;
  SELECT coalesce(array_agg(w.account), '{}') INTO v_tight FROM (
      SELECT q.account, sum(q.amount) AS amount FROM unnest(p_account, p_amount) q(account, amount) GROUP BY q.account) w
    WHERE w.amount > ledger.available(w.account, p_now, NULL) OR EXISTS (
      SELECT FROM ledger.lot l WHERE l.account = w.account AND l.open AND l.remaining > l.held AND l.earmark IS NOT NULL);

  FOR r IN SELECT q.n::int AS n, q.id, q.account, q.amount, q.purpose, q.expires, q.facts
           FROM unnest(p_id, p_account, p_amount, p_purpose, p_expires, p_facts)
             WITH ORDINALITY q(id, account, amount, purpose, expires, facts, n)
           WHERE q.account = ANY(v_tight) OR q.n = ANY(v_known) ORDER BY q.n LOOP
    ord := r.n; available := NULL; leased := NULL; lots := NULL; amounts := NULL; provenances := NULL;
    expiries := NULL;
    IF r.n = ANY(v_known) THEN
      SELECT CASE WHEN h.account = r.account AND h.amount = r.amount AND h.purpose = r.purpose AND h.state = 'open'
             THEN 'known' ELSE 'conflict' END, h.lots, h.lot_amounts INTO verdict, lots, amounts
        FROM ledger.hold h WHERE h.id = r.id;
      SELECT array_agg(l.provenance ORDER BY u.n), array_agg(l.expires_at ORDER BY u.n) INTO provenances, expiries
        FROM unnest(lots) WITH ORDINALITY u(lot, n) JOIN ledger.lot l ON l.id = u.lot;
      RETURN NEXT; CONTINUE;
    END IF;
    v_available := ledger.available(r.account, p_now, r.facts);
    IF v_available < r.amount THEN
      SELECT coalesce(sum(ll.amount), 0) INTO v_leased FROM ledger.lease l JOIN ledger.lease_lot ll USING (epoch)
        WHERE l.account = r.account;
      verdict := 'short'; available := v_available; leased := v_leased;
      IF v_leased > 0 THEN PERFORM pg_notify('ledger_recall', r.account::text); END IF;
      RETURN NEXT; CONTINUE;
    END IF;
    SELECT array_agg(p.id ORDER BY p.n), array_agg(p.amount ORDER BY p.n), array_agg(p.provenance ORDER BY p.n),
           array_agg(p.expires_at ORDER BY p.n)
      INTO lots, amounts, provenances, expiries
      FROM (SELECT h.id, h.n, h.provenance, h.expires_at, least(h.free, r.amount - (h.hi - h.free))::bigint AS amount
            FROM (SELECT l.id, l.provenance, l.expires_at, l.remaining - l.held AS free, row_number() OVER w AS n,
                         sum(l.remaining - l.held) OVER w AS hi
                  FROM ledger.lot l
                  WHERE l.account = r.account AND l.open AND l.remaining > l.held
                    AND (l.spendable_at IS NULL OR l.spendable_at <= p_now)
                    AND (l.expires_at IS NULL OR l.expires_at > p_now)
                    AND (l.earmark IS NULL OR coalesce(r.facts, '{}') @> l.earmark)
                  WINDOW w AS (ORDER BY l.expires_at NULLS LAST, array_position(p_order, l.provenance),
                               l.issued_at, l.id)) h
            WHERE h.hi - h.free < r.amount) p;
    UPDATE ledger.lot l SET held = l.held + u.amount FROM unnest(lots, amounts) u(lot, amount) WHERE l.id = u.lot;
    UPDATE ledger.account a SET held = a.held + r.amount WHERE a.id = r.account;
    INSERT INTO ledger.hold (id, account, amount, purpose, created_at, expires_at, lots, lot_amounts)
      VALUES (r.id, r.account, r.amount, r.purpose, p_now, r.expires, coalesce(lots, '{}'), coalesce(amounts, '{}'));
    verdict := 'held';
    RETURN NEXT;
  END LOOP;

  RETURN QUERY
  WITH need AS (
    SELECT q.n::int AS n, q.id, q.account, q.amount, q.purpose, q.expires,
           sum(q.amount) OVER w - q.amount AS lo, sum(q.amount) OVER w AS hi
    FROM unnest(p_id, p_account, p_amount, p_purpose, p_expires)
      WITH ORDINALITY q(id, account, amount, purpose, expires, n)
    WHERE q.account <> ALL(v_tight) AND q.n <> ALL(v_known)
    WINDOW w AS (PARTITION BY q.account ORDER BY q.n)
  ), have AS (
    SELECT l.id, l.account, l.provenance, l.expires_at, row_number() OVER w AS n,
           sum(l.remaining - l.held) OVER w - (l.remaining - l.held) AS lo, sum(l.remaining - l.held) OVER w AS hi
    FROM ledger.lot l
    WHERE l.account = ANY(v_accounts) AND l.open AND l.remaining > l.held AND l.earmark IS NULL
      AND (l.spendable_at IS NULL OR l.spendable_at <= p_now) AND (l.expires_at IS NULL OR l.expires_at > p_now)
    WINDOW w AS (PARTITION BY l.account ORDER BY l.expires_at NULLS LAST, array_position(p_order, l.provenance),
                 l.issued_at, l.id)
  ), piece AS (
    SELECT d.*, h.n AS k, h.id AS lot, h.provenance, h.expires_at AS expiry,
           (least(d.hi, h.hi) - greatest(d.lo, h.lo))::bigint AS part
    FROM need d LEFT JOIN have h ON h.account = d.account AND h.lo < d.hi AND d.lo < h.hi
  ), laid AS (  -- one row a hold; joined by nothing later, because CTEs have no statistics and would join quadratically
    SELECT p.n, p.id, p.account, p.amount, p.purpose, p.expires,
           coalesce(array_agg(p.lot ORDER BY p.k) FILTER (WHERE p.lot IS NOT NULL), '{}') AS lots,
           coalesce(array_agg(p.part ORDER BY p.k) FILTER (WHERE p.lot IS NOT NULL), '{}') AS amounts,
           coalesce(array_agg(p.provenance ORDER BY p.k) FILTER (WHERE p.lot IS NOT NULL), '{}') AS provenances,
           coalesce(array_agg(p.expiry ORDER BY p.k) FILTER (WHERE p.lot IS NOT NULL), '{}') AS expiries
    FROM piece p GROUP BY p.n, p.id, p.account, p.amount, p.purpose, p.expires
  ), lots_held AS (
    UPDATE ledger.lot l SET held = l.held + s.amount
    FROM (SELECT p.lot, sum(p.part)::bigint AS amount FROM piece p WHERE p.lot IS NOT NULL GROUP BY p.lot) s
    WHERE l.id = s.lot
  ), accounts_held AS (
    UPDATE ledger.account a SET held = a.held + s.amount
    FROM (SELECT d.account, sum(d.amount)::bigint AS amount FROM need d GROUP BY d.account) s WHERE a.id = s.account
  ), booked AS (
    INSERT INTO ledger.hold (id, account, amount, purpose, created_at, expires_at, lots, lot_amounts)
    SELECT g.id, g.account, g.amount, g.purpose, p_now, g.expires, g.lots, g.amounts FROM laid g
  )
  SELECT g.n, 'held'::text, NULL::bigint, NULL::bigint, g.lots, g.amounts, g.provenances, g.expiries FROM laid g;
END $$;


--
-- Name: lease_grant(timestamp with time zone, uuid, text, bigint, bigint, bigint, bigint, timestamp with time zone, timestamp with time zone, text[]); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.lease_grant(p_now timestamp with time zone, p_account uuid, p_worker text, p_epoch bigint, p_block bigint, p_low bigint, p_parts bigint, p_expires timestamp with time zone, p_soon timestamp with time zone, p_order text[], OUT verdict text, OUT epoch bigint, OUT lots uuid[], OUT amounts bigint[], OUT provenances text[], OUT expiries timestamp with time zone[]) RETURNS record
    LANGUAGE plpgsql
    AS $$
DECLARE v_room bigint; v_free bigint; v_special boolean; v_block bigint;
BEGIN
  SELECT a.balance - a.held - coalesce(a.floor, 0) INTO v_room FROM ledger.account a
    WHERE a.id = p_account AND a.lots FOR NO KEY UPDATE;
  IF NOT FOUND THEN verdict := 'direct'; RETURN; END IF;
  v_room := v_room + ledger.reclaim_account(p_account, p_now);
  IF p_epoch IS NOT NULL AND NOT EXISTS (SELECT FROM ledger.lease l WHERE l.epoch = p_epoch) THEN
    verdict := 'reclaimed'; RETURN;
  END IF;
  -- Earmarked and soon-expiring lots burn first by C12 but must not be lent: holds spend them.
  SELECT coalesce(sum(l.remaining - l.held) FILTER (WHERE NOT x.special), 0), coalesce(bool_or(x.special), false)
    INTO v_free, v_special
    FROM ledger.lot l, LATERAL (SELECT l.earmark IS NOT NULL OR coalesce(l.expires_at <= p_soon, false) AS special) x
    WHERE l.account = p_account AND l.open AND l.remaining > l.held
      AND (l.spendable_at IS NULL OR l.spendable_at <= p_now) AND (l.expires_at IS NULL OR l.expires_at > p_now);
  v_room := least(v_room, v_free);
  v_block := least(p_block, v_room / p_parts);
  IF v_special OR v_room < p_low OR v_block <= 0 THEN
    IF EXISTS (SELECT FROM ledger.lease l WHERE l.account = p_account) THEN
      PERFORM pg_notify('ledger_recall', p_account::text);
    END IF;
    verdict := 'direct'; RETURN;
  END IF;
  verdict := 'leased';
  epoch := p_epoch;
  IF epoch IS NULL THEN
    INSERT INTO ledger.lease AS l (account, worker, granted_at, expires_at)
      VALUES (p_account, p_worker, p_now, p_expires) RETURNING l.epoch INTO epoch;
  ELSE
    UPDATE ledger.lease l SET expires_at = greatest(l.expires_at, p_expires) WHERE l.epoch = p_epoch;
  END IF;
  WITH have AS (
    SELECT l.id, l.remaining - l.held AS free, sum(l.remaining - l.held) OVER w AS hi, row_number() OVER w AS n,
           l.provenance, l.expires_at
    FROM ledger.lot l
    WHERE l.account = p_account AND l.open AND l.remaining > l.held AND l.earmark IS NULL
      AND (l.spendable_at IS NULL OR l.spendable_at <= p_now) AND (l.expires_at IS NULL OR l.expires_at > p_now)
    WINDOW w AS (ORDER BY l.expires_at NULLS LAST, array_position(p_order, l.provenance), l.issued_at, l.id)
  ), piece AS (
    SELECT h.*, least(h.free, v_block - (h.hi - h.free))::bigint AS amount FROM have h WHERE h.hi - h.free < v_block
  )
  SELECT array_agg(p.id ORDER BY p.n), array_agg(p.amount ORDER BY p.n), array_agg(p.provenance ORDER BY p.n),
         array_agg(p.expires_at ORDER BY p.n)
    INTO lots, amounts, provenances, expiries FROM piece p;
  UPDATE ledger.lot l SET held = l.held + p.amount FROM unnest(lots, amounts) p(lot, amount) WHERE l.id = p.lot;
  UPDATE ledger.account a SET held = a.held + v_block WHERE a.id = p_account;
  INSERT INTO ledger.lease_lot AS ll SELECT epoch, p.lot, p.amount FROM unnest(lots, amounts) p(lot, amount)
    ON CONFLICT ON CONSTRAINT lease_lot_pkey DO UPDATE SET amount = ll.amount + excluded.amount;
END $$;


--
-- Name: lease_shrink(timestamp with time zone, uuid, bigint, timestamp with time zone, uuid[], bigint[], uuid[], bigint[], timestamp with time zone[], integer[], uuid[], bigint[]); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.lease_shrink(p_now timestamp with time zone, p_account uuid, p_epoch bigint, p_expires timestamp with time zone, b_lot uuid[], b_amount bigint[], h_id uuid[], h_amount bigint[], h_expires timestamp with time zone[], h_end integer[], hl_lot uuid[], hl_amount bigint[]) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
DECLARE v_back bigint; v_rows int; v_lots int;
BEGIN
  PERFORM FROM ledger.account WHERE id = p_account FOR NO KEY UPDATE;
  UPDATE ledger.lease SET expires_at = greatest(expires_at, p_expires) WHERE epoch = p_epoch;
  IF NOT FOUND THEN RETURN false; END IF;
  UPDATE ledger.lease_lot ll SET amount = ll.amount - d.amount
    FROM (SELECT lot, sum(amount)::bigint AS amount
          FROM (SELECT * FROM unnest(b_lot, b_amount) UNION ALL SELECT * FROM unnest(hl_lot, hl_amount)) u(lot, amount)
          GROUP BY lot) d
    WHERE ll.epoch = p_epoch AND ll.lot = d.lot;
  UPDATE ledger.lot l SET held = l.held - b.amount FROM unnest(b_lot, b_amount) b(lot, amount) WHERE l.id = b.lot;
  SELECT coalesce(sum(x), 0) INTO v_back FROM unnest(b_amount) x;
  UPDATE ledger.account SET held = held - v_back WHERE id = p_account AND v_back > 0;
  INSERT INTO ledger.hold (id, account, amount, purpose, created_at, expires_at, lots, lot_amounts)
    SELECT h.id, p_account, h.amount, 'call', p_now, h.expires,
           hl_lot[lag(h.stop, 1, 0) OVER w + 1 : h.stop], hl_amount[lag(h.stop, 1, 0) OVER w + 1 : h.stop]
    FROM unnest(h_id, h_amount, h_expires, h_end) WITH ORDINALITY h(id, amount, expires, stop, n)
    WINDOW w AS (ORDER BY h.n);
  DELETE FROM ledger.lease_lot WHERE epoch = p_epoch AND amount = 0;
  DELETE FROM ledger.lease l WHERE l.epoch = p_epoch
    AND NOT EXISTS (SELECT FROM ledger.lease_lot ll WHERE ll.epoch = p_epoch);
  RETURN true;
END $$;


--
-- Name: post(timestamp with time zone, text, text[], boolean, boolean, uuid[], text[], date[], text[], text[], bytea[], uuid[], integer[], uuid[], uuid[], uuid[], bigint[], integer[], uuid[], uuid[], text[], uuid[], bigint[], timestamp with time zone[], timestamp with time zone[], timestamp with time zone[], jsonb[], bigint[], integer[], uuid[], bigint[]); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.post(p_now timestamp with time zone, p_worker text, p_order text[], p_retry boolean, p_lots boolean, p_id uuid[], p_kind text[], p_day date[], p_actor text[], p_memo text[], p_evidence bytea[], p_reverses uuid[], t_row integer[], t_id uuid[], t_debit uuid[], t_credit uuid[], t_amount bigint[], l_row integer[], l_id uuid[], l_account uuid[], l_provenance text[], l_parent uuid[], l_amount bigint[], l_spendable timestamp with time zone[], l_unlock timestamp with time zone[], l_expires timestamp with time zone[], l_earmark jsonb[], l_cost bigint[], x_row integer[], x_lot uuid[], x_delta bigint[]) RETURNS text[]
    LANGUAGE plpgsql
    AS $$
DECLARE
  v_accounts uuid[]; v_verdicts text[]; v_tight uuid[]; v_room bigint[]; v_closed date; v_row int; v_i int; v_bad text;
  v_open boolean; r record; v_p_ord int[]; v_p_row int[]; v_p_lot uuid[]; v_p_amount bigint[]; v_net bigint[];
BEGIN
  SELECT array_agg(u.a ORDER BY u.a) INTO v_accounts
    FROM (SELECT unnest(t_debit) UNION SELECT unnest(t_credit)) u(a);
  PERFORM FROM ledger.account a WHERE a.id = ANY(v_accounts) AND (a.floor IS NOT NULL OR a.lots)
    ORDER BY a.id FOR NO KEY UPDATE;
  IF EXISTS (SELECT FROM unnest(p_day) d WHERE d < (p_now AT TIME ZONE 'Asia/Shanghai')::date) THEN
    PERFORM pg_advisory_xact_lock_shared(x'4C454447'::int);  -- a period may be closing just now
  END IF;
  SELECT max(closed_through) INTO v_closed FROM ledger.period;
  IF p_retry OR v_closed IS NOT NULL THEN
    SELECT array_agg(CASE
        WHEN p.id IS NOT NULL THEN CASE
          WHEN p.kind = q.kind AND p.reverses IS NOT DISTINCT FROM q.reverses AND NOT EXISTS (
            (SELECT t.id, t.debit, t.credit, t.amount FROM ledger.transfers_of(q.id) t
             EXCEPT SELECT u.id, u.debit, u.credit, u.amount
               FROM unnest(t_row, t_id, t_debit, t_credit, t_amount) u(n, id, debit, credit, amount) WHERE u.n = q.n)
            UNION ALL
            (SELECT u.id, u.debit, u.credit, u.amount
               FROM unnest(t_row, t_id, t_debit, t_credit, t_amount) u(n, id, debit, credit, amount) WHERE u.n = q.n
             EXCEPT SELECT t.id, t.debit, t.credit, t.amount FROM ledger.transfers_of(q.id) t)) THEN 'known' ELSE 'conflict' END
        WHEN EXISTS (SELECT FROM unnest(t_row, t_id) u(n, id) JOIN ledger.transfer t ON t.id = u.id WHERE u.n = q.n)
          THEN 'conflict'
        WHEN EXISTS (SELECT FROM ledger.posting o WHERE o.reverses = q.reverses) THEN 'reversed'
        WHEN q.day <= v_closed THEN 'closed:' || v_closed
        ELSE 'ok' END ORDER BY q.n)
      INTO v_verdicts
      FROM unnest(p_id, p_kind, p_day, p_reverses) WITH ORDINALITY q(id, kind, day, reverses, n)
      LEFT JOIN ledger.posting p ON p.id = q.id;
  ELSE
    v_verdicts := array_fill('ok'::text, ARRAY[cardinality(p_id)]);
  END IF;

  -- Which accounts might not cover what this batch takes from them? Credits of the batch are not counted here.
  SELECT array_agg(w.account), array_agg(ledger.available(w.account, p_now, NULL)) INTO v_tight, v_room
    FROM (SELECT u.account, sum(u.amount) AS amount FROM unnest(t_debit, t_amount) u(account, amount) GROUP BY 1) w
    JOIN ledger.account a ON a.id = w.account
    WHERE (a.floor IS NOT NULL OR a.lots)
      AND w.amount > CASE WHEN a.lots THEN ledger.available(a.id, p_now, NULL) ELSE a.balance - a.held - a.floor END;
  IF v_tight IS NOT NULL THEN
    FOR v_row IN SELECT DISTINCT u.n FROM unnest(t_row, t_debit, t_credit) u(n, debit, credit)
                 WHERE u.debit = ANY(v_tight) OR u.credit = ANY(v_tight) ORDER BY 1 LOOP
      CONTINUE WHEN v_verdicts[v_row] <> 'ok';
      v_bad := NULL;
      v_net := v_room;
      FOR r IN SELECT u.debit, u.credit, u.amount FROM unnest(t_row, t_debit, t_credit, t_amount)
               WITH ORDINALITY u(n, debit, credit, amount, k) WHERE u.n = v_row ORDER BY u.k LOOP
        v_i := array_position(v_tight, r.debit);
        IF v_i IS NOT NULL THEN
          IF v_net[v_i] < r.amount AND NOT v_row = ANY(x_row) THEN
            v_bad := 'short:' || r.debit || ':' || v_net[v_i] || ':' || r.amount || ':' || (
              SELECT coalesce(sum(ll.amount), 0) FROM ledger.lease l JOIN ledger.lease_lot ll USING (epoch)
              WHERE l.account = r.debit);
            IF v_bad NOT LIKE '%:0' THEN PERFORM pg_notify('ledger_recall', r.debit::text); END IF;
            EXIT;
          END IF;
          v_net[v_i] := v_net[v_i] - r.amount;
        END IF;
        v_i := array_position(v_tight, r.credit);
        IF v_i IS NOT NULL THEN
          -- what arrives in lots can be spent only when the lots can
          SELECT NOT EXISTS (SELECT FROM unnest(l_row, l_account, l_spendable, l_earmark) l(n, account, spendable, earmark)
                             WHERE l.n = v_row AND l.account = r.credit AND (l.spendable > p_now OR l.earmark IS NOT NULL))
            INTO v_open;
          IF v_open THEN v_net[v_i] := v_net[v_i] + r.amount; END IF;
        END IF;
      END LOOP;
      IF v_bad IS NULL THEN v_room := v_net; ELSE v_verdicts[v_row] := v_bad; END IF;
    END LOOP;
  END IF;

  IF p_lots THEN
    INSERT INTO ledger.lot (id, account, provenance, parent, issued, remaining, issued_at, spendable_at, unlock_at,
                            expires_at, earmark, unit_cost_fen, open)
      SELECT l.id, l.account, l.provenance, l.parent, l.amount, l.amount, p_now, l.spendable, l.unlock, l.expires,
             l.earmark, l.cost, true
      FROM unnest(l_row, l_id, l_account, l_provenance, l_parent, l_amount, l_spendable, l_unlock, l_expires, l_earmark,
                  l_cost) l(n, id, account, provenance, parent, amount, spendable, unlock, expires, earmark, cost)
      WHERE v_verdicts[l.n] = 'ok';
    -- Debits and lots laid end to end in burn order: the overlaps are what each debit burns.
    WITH need AS (
      SELECT u.k::int AS k, u.n, u.account, sum(u.amount) OVER w - u.amount AS lo, sum(u.amount) OVER w AS hi
      FROM unnest(t_row, t_debit, t_amount) WITH ORDINALITY u(n, account, amount, k)
      JOIN ledger.account a ON a.id = u.account AND a.lots
      WHERE v_verdicts[u.n] = 'ok' AND u.n <> ALL(x_row)
      WINDOW w AS (PARTITION BY u.account ORDER BY u.k)
    ), have AS (
      SELECT l.id, l.account, row_number() OVER w AS n,
             sum(l.remaining - l.held) OVER w - (l.remaining - l.held) AS lo, sum(l.remaining - l.held) OVER w AS hi
      FROM ledger.lot l
      WHERE l.account = ANY(t_debit) AND l.open AND l.remaining > l.held AND l.earmark IS NULL
        AND (l.spendable_at IS NULL OR l.spendable_at <= p_now) AND (l.expires_at IS NULL OR l.expires_at > p_now)
      WINDOW w AS (PARTITION BY l.account
                   ORDER BY l.expires_at NULLS LAST, array_position(p_order, l.provenance), l.issued_at, l.id)
    )
    SELECT coalesce(array_agg(d.k ORDER BY d.k, h.n), '{}'), coalesce(array_agg(d.n ORDER BY d.k, h.n), '{}'),
           coalesce(array_agg(h.id ORDER BY d.k, h.n), '{}'),
           coalesce(array_agg((least(d.hi, h.hi) - greatest(d.lo, h.lo))::bigint ORDER BY d.k, h.n), '{}')
      INTO v_p_ord, v_p_row, v_p_lot, v_p_amount
      FROM need d JOIN have h ON h.account = d.account AND h.lo < d.hi AND d.lo < h.hi;
    UPDATE ledger.lot l SET remaining = l.remaining + d.delta, open = l.remaining + d.delta > 0
      FROM (SELECT lot, sum(delta)::bigint AS delta FROM (
              SELECT u.lot, -u.amount AS delta FROM unnest(v_p_lot, v_p_amount) u(lot, amount)
              UNION ALL SELECT x.lot, x.delta FROM unnest(x_row, x_lot, x_delta) x(n, lot, delta)
                WHERE v_verdicts[x.n] = 'ok') b GROUP BY lot) d
      WHERE l.id = d.lot;
    -- Between lot-bearing accounts without new lots: the receiver gets children of what was burned.
    WITH split AS (
      SELECT u.n AS row, md5(t_id[u.k]::text || u.lot::text)::uuid AS id, t_credit[u.k] AS account, u.amount, l.*
      FROM unnest(v_p_ord, v_p_row, v_p_lot, v_p_amount) u(k, n, lot, amount)
      JOIN ledger.account a ON a.id = t_credit[u.k] AND a.lots
      JOIN LATERAL (SELECT p.id AS parent, p.provenance, p.spendable_at, p.unlock_at, p.expires_at, p.unit_cost_fen
                    FROM ledger.lot p WHERE p.id = u.lot) l ON true
      WHERE NOT EXISTS (SELECT FROM unnest(l_row, l_account) x(n, account) WHERE x.n = u.n AND x.account = a.id)
    ), born AS (
      INSERT INTO ledger.lot (id, account, provenance, parent, issued, remaining, issued_at, spendable_at, unlock_at,
                              expires_at, unit_cost_fen, open)
      SELECT id, account, provenance, parent, amount, amount, p_now, spendable_at, unlock_at, expires_at, unit_cost_fen,
             true FROM split
    )
    SELECT v_p_row || coalesce(array_agg(s.row), '{}'), v_p_lot || coalesce(array_agg(s.id), '{}'),
           v_p_amount || coalesce(array_agg(-s.amount), '{}')
      INTO v_p_row, v_p_lot, v_p_amount FROM split s;
    INSERT INTO ledger.posting (id, at, day, kind, actor, memo, reverses, evidence, lots, lot_deltas)
      SELECT q.id, p_now, q.day, q.kind, q.actor, q.memo, q.reverses, q.evidence, b.lots, b.deltas
      FROM unnest(p_id, p_day, p_kind, p_actor, p_memo, p_reverses, p_evidence)
        WITH ORDINALITY q(id, day, kind, actor, memo, reverses, evidence, n)
      LEFT JOIN (
        SELECT u.n, array_agg(u.lot) AS lots, array_agg(u.delta) AS deltas FROM (
          SELECT v.n, v.lot, -v.amount AS delta FROM unnest(v_p_row, v_p_lot, v_p_amount) v(n, lot, amount)
          UNION ALL SELECT * FROM unnest(x_row, x_lot, x_delta)
          UNION ALL SELECT * FROM unnest(l_row, l_id, l_amount)) u(n, lot, delta) GROUP BY u.n) b ON b.n = q.n
      WHERE v_verdicts[q.n] = 'ok';
  ELSE
    INSERT INTO ledger.posting (id, at, day, kind, actor, memo, reverses, evidence)
      SELECT q.id, p_now, q.day, q.kind, q.actor, q.memo, q.reverses, q.evidence
      FROM unnest(p_id, p_day, p_kind, p_actor, p_memo, p_reverses, p_evidence)
        WITH ORDINALITY q(id, day, kind, actor, memo, reverses, evidence, n)
      WHERE v_verdicts[q.n] = 'ok';
  END IF;

  INSERT INTO ledger.transfer (id, posting, debit, credit, amount, at)
    SELECT u.id, p_id[u.n], u.debit, u.credit, u.amount, p_now
    FROM unnest(t_row, t_id, t_debit, t_credit, t_amount) u(n, id, debit, credit, amount) WHERE v_verdicts[u.n] = 'ok';
  INSERT INTO ledger.posting_transfer
    SELECT p_id[u.n], u.k, u.id
    FROM unnest(t_row, t_id) WITH ORDINALITY u(n, id, k) WHERE v_verdicts[u.n] = 'ok' AND p_id[u.n] <> u.id;
  WITH net AS (
    SELECT u.account, sum(u.delta)::bigint AS delta FROM (
      SELECT debit AS account, -amount AS delta, n FROM unnest(t_row, t_debit, t_amount) d(n, debit, amount)
      UNION ALL SELECT credit, amount, n FROM unnest(t_row, t_credit, t_amount) c(n, credit, amount)) u
    WHERE v_verdicts[u.n] = 'ok' GROUP BY u.account
  ), bounded AS (
    UPDATE ledger.account a SET balance = a.balance + net.delta FROM net
    WHERE a.id = net.account AND (a.floor IS NOT NULL OR a.lots) RETURNING a.id
  )
  INSERT INTO ledger.stripe AS s
    SELECT net.account, p_worker, net.delta FROM net
    JOIN ledger.account a ON a.id = net.account AND a.floor IS NULL AND NOT a.lots ORDER BY net.account
    ON CONFLICT (account, worker) DO UPDATE SET balance = s.balance + excluded.balance;
  RETURN v_verdicts;
END $$;


--
-- Name: reclaim(bigint[]); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.reclaim(p_epochs bigint[]) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE v_total bigint;
BEGIN
  WITH gone AS (
    DELETE FROM ledger.lease_lot WHERE epoch = ANY(p_epochs) RETURNING lot, amount
  ), sums AS (
    SELECT lot, sum(amount)::bigint AS amount FROM gone GROUP BY lot
  ), freed AS (
    UPDATE ledger.lot l SET held = l.held - s.amount FROM sums s WHERE l.id = s.lot RETURNING l.account, s.amount
  ), back AS (
    UPDATE ledger.account a SET held = a.held - f.amount
    FROM (SELECT account, sum(amount)::bigint AS amount FROM freed GROUP BY account) f WHERE a.id = f.account
    RETURNING f.amount
  )
  SELECT coalesce(sum(amount), 0) INTO v_total FROM back;
  DELETE FROM ledger.lease WHERE epoch = ANY(p_epochs);
  RETURN v_total;
END $$;


--
-- Name: reclaim_account(uuid, timestamp with time zone); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.reclaim_account(p_account uuid, p_now timestamp with time zone) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE v_epochs bigint[];
BEGIN
  SELECT array_agg(epoch) INTO v_epochs FROM ledger.lease WHERE account = p_account AND expires_at <= p_now;
  IF v_epochs IS NULL THEN RETURN 0; END IF;
  RETURN ledger.reclaim(v_epochs);
END $$;


--
-- Name: refuse_change(); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  RAISE EXCEPTION 'the ledger is append-only: % on % is refused; book a reversal', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'SH003';
END $$;


--
-- Name: settle(timestamp with time zone, date, text, uuid[], text[], text[], bytea[], integer[], uuid[], bigint[], uuid[], uuid[], uuid[], uuid[], bigint[], uuid[], bigint[], bigint[], uuid[], bigint[], bigint[], uuid[], bigint[], uuid[], bigint[], bigint[], uuid[], text[], bigint[], uuid[], uuid[], uuid[], text[], uuid[], bigint[], timestamp with time zone[], timestamp with time zone[], timestamp with time zone[]); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.settle(p_now timestamp with time zone, p_day date, p_worker text, p_id uuid[], p_kind text[], p_actor text[], p_evidence bytea[], p_end integer[], pl_lot uuid[], pl_delta bigint[], t_id uuid[], t_posting uuid[], t_debit uuid[], t_credit uuid[], t_amount bigint[], a_id uuid[], a_balance bigint[], a_held bigint[], s_account uuid[], s_amount bigint[], e_epoch bigint[], e_lot uuid[], e_amount bigint[], d_lot uuid[], d_burned bigint[], d_held bigint[], h_id uuid[], h_state text[], h_captured bigint[], h_posting uuid[], m_id uuid[], m_account uuid[], m_provenance text[], m_parent uuid[], m_amount bigint[], m_spendable timestamp with time zone[], m_unlock timestamp with time zone[], m_expires timestamp with time zone[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE v_rows int; v_from int := 1; v_i int;
BEGIN
  IF cardinality(a_id) > 1 THEN  -- one row needs no order
    PERFORM FROM ledger.account WHERE id = ANY(a_id) ORDER BY id FOR NO KEY UPDATE;
  END IF;
  UPDATE ledger.account a SET balance = a.balance + d.balance, held = a.held + d.held
    FROM unnest(a_id, a_balance, a_held) d(id, balance, held) WHERE a.id = d.id;
  IF cardinality(e_epoch) > 0 THEN
    UPDATE ledger.lease_lot l SET amount = l.amount - e.amount
      FROM unnest(e_epoch, e_lot, e_amount) e(epoch, lot, amount) WHERE l.epoch = e.epoch AND l.lot = e.lot;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows <> cardinality(e_epoch) THEN
      RAISE EXCEPTION 'a lease was reclaimed' USING ERRCODE = 'SH001';
    END IF;
  END IF;
  IF cardinality(h_id) > 0 THEN
    UPDATE ledger.hold h SET state = u.state, captured = u.captured, posting = u.posting
      FROM unnest(h_id, h_state, h_captured, h_posting) u(id, state, captured, posting)
      WHERE h.id = u.id AND h.state = 'open';
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows <> cardinality(h_id) THEN
      RAISE EXCEPTION 'a hold is closed' USING ERRCODE = 'SH001';
    END IF;
  END IF;
  UPDATE ledger.lot l SET remaining = l.remaining - d.burned, held = l.held - d.held, open = l.remaining > d.burned
    FROM unnest(d_lot, d_burned, d_held) d(id, burned, held) WHERE l.id = d.id;
  IF cardinality(p_id) = 0 THEN RETURN; END IF;
  INSERT INTO ledger.posting (id, at, day, kind, actor, evidence, lots, lot_deltas)
    SELECT p.id, p_now, p_day, p.kind, p.actor, p.evidence, pl_lot[p.start:p.stop], pl_delta[p.start:p.stop]
    FROM (SELECT u.id, u.kind, u.actor, u.evidence, coalesce(p_end[u.n - 1], 0) + 1 AS start, u.stop
          FROM unnest(p_id, p_kind, p_actor, p_evidence, p_end) WITH ORDINALITY u(id, kind, actor, evidence, stop, n)) p;
  INSERT INTO ledger.transfer (id, posting, debit, credit, amount, at)
    SELECT t.id, t.posting, t.debit, t.credit, t.amount, p_now
    FROM unnest(t_id, t_posting, t_debit, t_credit, t_amount) t(id, posting, debit, credit, amount);
  IF cardinality(t_id) > cardinality(p_id) THEN
    INSERT INTO ledger.posting_transfer
      SELECT t.posting, t.n, t.id FROM unnest(t_id, t_posting) WITH ORDINALITY t(id, posting, n) WHERE t.id <> t.posting;
  END IF;
  IF cardinality(m_id) > 0 THEN
    INSERT INTO ledger.lot AS l (id, account, provenance, parent, issued, remaining, issued_at, spendable_at, unlock_at,
                                 expires_at, open)
      SELECT m.id, m.account, m.provenance, m.parent, m.amount, m.amount, p_now, m.spendable, m.unlock, m.expires, true
      FROM unnest(m_id, m_account, m_provenance, m_parent, m_amount, m_spendable, m_unlock, m_expires)
        m(id, account, provenance, parent, amount, spendable, unlock, expires)
      ON CONFLICT (id) DO UPDATE SET issued = l.issued + excluded.issued, remaining = l.remaining + excluded.remaining,
                                     open = true;
  END IF;
  IF cardinality(s_account) > 0 THEN
    INSERT INTO ledger.stripe AS s SELECT u.account, p_worker, u.amount FROM unnest(s_account, s_amount) u(account, amount)
      ON CONFLICT (account, worker) DO UPDATE SET balance = s.balance + excluded.balance;
  END IF;
END $$;


--
-- Name: settle_check(uuid[], bigint[], uuid[]); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.settle_check(p_id uuid[], p_epoch bigint[], p_hold uuid[]) RETURNS TABLE(ord integer, booked boolean, stands boolean)
    LANGUAGE sql STABLE
    AS $$
  SELECT q.n::int, EXISTS (SELECT FROM ledger.posting p WHERE p.id = q.id),
    CASE WHEN q.hold IS NOT NULL THEN EXISTS (SELECT FROM ledger.hold h WHERE h.id = q.hold AND h.state = 'open')
         ELSE EXISTS (SELECT FROM ledger.lease l WHERE l.epoch = q.epoch) END
  FROM unnest(p_id, p_epoch, p_hold) WITH ORDINALITY q(id, epoch, hold, n)
$$;


--
-- Name: sweep_holds(timestamp with time zone, integer); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.sweep_holds(p_now timestamp with time zone, p_limit integer) RETURNS integer
    LANGUAGE plpgsql
    AS $$
DECLARE v_ids uuid[]; v_accounts uuid[]; v_rows int;
BEGIN
  SELECT array_agg(h.id), array_agg(DISTINCT h.account) INTO v_ids, v_accounts
    FROM (SELECT id, account FROM ledger.hold WHERE state = 'open' AND expires_at <= p_now LIMIT p_limit) h;
  IF v_ids IS NULL THEN RETURN 0; END IF;
  PERFORM FROM ledger.account a WHERE a.id = ANY(v_accounts) ORDER BY a.id FOR NO KEY UPDATE;
  WITH ended AS (
    UPDATE ledger.hold SET state = 'expired' WHERE id = ANY(v_ids) AND state = 'open'
    RETURNING account, amount, lots, lot_amounts
  ), freed AS (
    UPDATE ledger.lot l SET held = l.held - s.amount
    FROM (SELECT u.lot, sum(u.amount)::bigint AS amount FROM ended e, unnest(e.lots, e.lot_amounts) u(lot, amount)
          GROUP BY u.lot) s
    WHERE l.id = s.lot
  ), back AS (
    UPDATE ledger.account a SET held = a.held - s.amount
    FROM (SELECT account, sum(amount)::bigint AS amount FROM ended GROUP BY account) s WHERE a.id = s.account
  )
  SELECT count(*) INTO v_rows FROM ended;
  RETURN v_rows;
END $$;


--
-- Name: sweep_leases(timestamp with time zone, text, integer); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.sweep_leases(p_now timestamp with time zone, p_worker text, p_limit integer) RETURNS integer
    LANGUAGE plpgsql
    AS $$
DECLARE v_account uuid; v_count int := 0;
BEGIN  -- one account at a time, in id order
  FOR v_account IN
    SELECT a.id FROM ledger.account a
    WHERE a.id IN (SELECT l.account FROM ledger.lease l WHERE l.expires_at <= p_now OR l.worker = p_worker LIMIT p_limit)
    ORDER BY a.id FOR NO KEY UPDATE
  LOOP
    PERFORM ledger.reclaim(coalesce(array_agg(l.epoch), '{}')) FROM ledger.lease l
      WHERE l.account = v_account AND (l.expires_at <= p_now OR l.worker = p_worker);
    v_count := v_count + 1;
  END LOOP;
  RETURN v_count;
END $$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: transfer; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.transfer (
    id uuid NOT NULL,
    posting uuid NOT NULL,
    debit uuid NOT NULL,
    credit uuid NOT NULL,
    amount bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT transfer_amount_check CHECK ((amount > 0)),
    CONSTRAINT transfer_check CHECK ((credit <> debit))
);


--
-- Name: transfers_of(uuid); Type: FUNCTION; Schema: ledger; Owner: -
--

CREATE FUNCTION ledger.transfers_of(p_posting uuid) RETURNS SETOF ledger.transfer
    LANGUAGE sql STABLE
    AS $$
  SELECT * FROM ledger.transfer t WHERE t.id = p_posting AND t.posting = p_posting
  UNION ALL
  (SELECT t.* FROM ledger.posting_transfer pt JOIN ledger.transfer t ON t.id = pt.transfer
   WHERE pt.posting = p_posting ORDER BY pt.ordinal)
$$;


--
-- Name: guard_order(); Type: FUNCTION; Schema: payments; Owner: -
--

CREATE FUNCTION payments.guard_order() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
    ('created', 'pending'), ('created', 'paid'), ('created', 'failed'), ('created', 'expired'),
    ('pending', 'paid'), ('pending', 'failed'), ('pending', 'expired'),
    ('failed', 'paid'), ('failed', 'expired'), ('paid', 'refunded')
  ) THEN
    RAISE EXCEPTION 'order % cannot go from % to %', OLD.id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
  END IF;
  IF (NEW.org_id, NEW.client_ref, NEW.purpose, NEW.provider, NEW.amount_fen)
     IS DISTINCT FROM (OLD.org_id, OLD.client_ref, OLD.purpose, OLD.provider, OLD.amount_fen)
     OR (OLD.provider_ref IS NOT NULL AND NEW.provider_ref IS DISTINCT FROM OLD.provider_ref)
     OR (OLD.paid_at IS NOT NULL AND NEW.paid_at IS DISTINCT FROM OLD.paid_at)
     OR NEW.refunded_fen < OLD.refunded_fen THEN
    RAISE EXCEPTION 'order %: content is immutable', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;


--
-- Name: refuse_change(); Type: FUNCTION; Schema: rulebook; Owner: -
--

CREATE FUNCTION rulebook.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  RAISE EXCEPTION 'amendments are never changed or deleted: succeed them by a later one';
END
$$;


--
-- Name: engine; Type: TABLE; Schema: compute; Owner: -
--

CREATE TABLE compute.engine (
    id uuid NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    url text NOT NULL,
    key_env text DEFAULT ''::text NOT NULL,
    contributor uuid,
    local boolean NOT NULL,
    data_classes text[] NOT NULL,
    features text[] NOT NULL,
    enabled boolean DEFAULT true NOT NULL,
    lazy boolean DEFAULT false NOT NULL,
    slots integer NOT NULL,
    queue integer NOT NULL,
    first_token_timeout_ms integer NOT NULL,
    idle_timeout_ms integer NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT engine_check CHECK ((local OR (data_classes = '{general}'::text[]))),
    CONSTRAINT engine_data_classes_check CHECK ((cardinality(data_classes) > 0)),
    CONSTRAINT engine_first_token_timeout_ms_check CHECK (((first_token_timeout_ms >= 100) AND (first_token_timeout_ms <= 3600000))),
    CONSTRAINT engine_idle_timeout_ms_check CHECK (((idle_timeout_ms >= 100) AND (idle_timeout_ms <= 3600000))),
    CONSTRAINT engine_kind_check CHECK ((kind = ANY (ARRAY['llama'::text, 'openai'::text]))),
    CONSTRAINT engine_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'::text)),
    CONSTRAINT engine_queue_check CHECK (((queue >= 0) AND (queue <= 100000))),
    CONSTRAINT engine_slots_check CHECK (((slots >= 1) AND (slots <= 100000)))
);


--
-- Name: engine_event; Type: TABLE; Schema: compute; Owner: -
--

CREATE TABLE compute.engine_event (
    id uuid NOT NULL,
    engine text NOT NULL,
    event text NOT NULL,
    cause text DEFAULT ''::text NOT NULL,
    actor text NOT NULL,
    at timestamp with time zone NOT NULL
);


--
-- Name: engine_model; Type: TABLE; Schema: compute; Owner: -
--

CREATE TABLE compute.engine_model (
    engine_id uuid NOT NULL,
    model text NOT NULL,
    upstream text NOT NULL,
    context_tokens integer NOT NULL,
    cost_input bigint NOT NULL,
    cost_cached_input bigint NOT NULL,
    cost_output bigint NOT NULL,
    cost_reasoning bigint NOT NULL,
    cost_tool bigint NOT NULL,
    CONSTRAINT engine_model_context_tokens_check CHECK ((context_tokens > 0)),
    CONSTRAINT engine_model_cost_cached_input_check CHECK ((cost_cached_input >= 0)),
    CONSTRAINT engine_model_cost_input_check CHECK ((cost_input >= 0)),
    CONSTRAINT engine_model_cost_output_check CHECK ((cost_output >= 0)),
    CONSTRAINT engine_model_cost_reasoning_check CHECK ((cost_reasoning >= 0)),
    CONSTRAINT engine_model_cost_tool_check CHECK ((cost_tool >= 0))
);


--
-- Name: model; Type: TABLE; Schema: compute; Owner: -
--

CREATE TABLE compute.model (
    id text NOT NULL,
    kind text NOT NULL,
    title_zh text NOT NULL,
    title_en text NOT NULL,
    licence text DEFAULT ''::text NOT NULL,
    made_by text DEFAULT ''::text NOT NULL,
    price_class text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT model_kind_check CHECK ((kind = ANY (ARRAY['chat'::text, 'embedding'::text])))
);


--
-- Name: price; Type: TABLE; Schema: compute; Owner: -
--

CREATE TABLE compute.price (
    version_id uuid CONSTRAINT price_version_id_not_null1 NOT NULL,
    bucket text NOT NULL,
    cost_micro bigint NOT NULL,
    list_micro bigint NOT NULL,
    thin boolean NOT NULL,
    loss boolean NOT NULL,
    facts jsonb NOT NULL,
    outputs jsonb NOT NULL,
    trace jsonb NOT NULL,
    CONSTRAINT price_bucket_check CHECK ((bucket = ANY (ARRAY['input'::text, 'cached_input'::text, 'output'::text, 'reasoning'::text, 'tool'::text]))),
    CONSTRAINT price_cost_micro_check CHECK ((cost_micro >= 0)),
    CONSTRAINT price_list_micro_check CHECK ((list_micro >= 0))
);


--
-- Name: price_version; Type: TABLE; Schema: compute; Owner: -
--

CREATE TABLE compute.price_version (
    id uuid NOT NULL,
    model text NOT NULL,
    valid_from date NOT NULL,
    announced_at timestamp with time zone NOT NULL,
    rule_version text NOT NULL,
    actor text NOT NULL
);


--
-- Name: alert; Type: TABLE; Schema: credits; Owner: -
--

CREATE TABLE credits.alert (
    id uuid NOT NULL,
    org_id uuid NOT NULL,
    name text NOT NULL,
    time_window text NOT NULL,
    amount_micro bigint NOT NULL,
    percent integer NOT NULL,
    key_id uuid,
    enabled boolean NOT NULL,
    fired_for date,
    checked_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    actor text NOT NULL,
    CONSTRAINT alert_amount_micro_check CHECK ((amount_micro > 0)),
    CONSTRAINT alert_percent_check CHECK (((percent >= 1) AND (percent <= 100))),
    CONSTRAINT alert_time_window_check CHECK ((time_window = ANY (ARRAY['day'::text, 'month'::text])))
);


--
-- Name: alert_firing; Type: TABLE; Schema: credits; Owner: -
--

CREATE TABLE credits.alert_firing (
    alert_id uuid NOT NULL,
    window_start date NOT NULL,
    threshold_micro bigint NOT NULL,
    spent_micro bigint NOT NULL,
    fired_at timestamp with time zone NOT NULL
);


--
-- Name: auto_top_up; Type: TABLE; Schema: credits; Owner: -
--

CREATE TABLE credits.auto_top_up (
    org_id uuid NOT NULL,
    threshold_micro bigint NOT NULL,
    value_fen bigint NOT NULL,
    monthly_cap_fen bigint NOT NULL,
    provider text NOT NULL,
    mandate_id uuid NOT NULL,
    enabled boolean NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    purchase_id uuid,
    failures integer DEFAULT 0 NOT NULL,
    not_before timestamp with time zone,
    checked_at timestamp with time zone NOT NULL,
    actor text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT auto_top_up_monthly_cap_fen_check CHECK ((monthly_cap_fen > 0)),
    CONSTRAINT auto_top_up_threshold_micro_check CHECK ((threshold_micro > 0)),
    CONSTRAINT auto_top_up_value_fen_check CHECK ((value_fen > 0))
);


--
-- Name: benefit; Type: TABLE; Schema: credits; Owner: -
--

CREATE TABLE credits.benefit (
    beneficiary uuid NOT NULL,
    year integer NOT NULL,
    reserved_fen bigint DEFAULT 0 NOT NULL,
    given_fen bigint DEFAULT 0 NOT NULL,
    CONSTRAINT benefit_given_fen_check CHECK ((given_fen >= 0)),
    CONSTRAINT benefit_reserved_fen_check CHECK ((reserved_fen >= 0))
);


--
-- Name: purchase; Type: TABLE; Schema: credits; Owner: -
--

CREATE TABLE credits.purchase (
    id uuid NOT NULL,
    org_id uuid NOT NULL,
    client_ref text NOT NULL,
    source text NOT NULL,
    method text NOT NULL,
    actor text NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    beneficiary uuid NOT NULL,
    year integer NOT NULL,
    value_fen bigint NOT NULL,
    benefit_fen bigint NOT NULL,
    paid_fen bigint NOT NULL,
    purchased_micro bigint NOT NULL,
    subsidy_micro bigint NOT NULL,
    list_price_fen bigint NOT NULL,
    category text NOT NULL,
    rule_version text NOT NULL,
    trace jsonb NOT NULL,
    state text NOT NULL,
    order_id uuid,
    posting_id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    checked_at timestamp with time zone NOT NULL,
    decided_at timestamp with time zone,
    CONSTRAINT purchase_benefit_fen_check CHECK ((benefit_fen >= 0)),
    CONSTRAINT purchase_check CHECK (((paid_fen + benefit_fen) = value_fen)),
    CONSTRAINT purchase_check1 CHECK (((purchased_micro + subsidy_micro) > 0)),
    CONSTRAINT purchase_check2 CHECK (((state = 'open'::text) = (decided_at IS NULL))),
    CONSTRAINT purchase_client_ref_check CHECK (((length(client_ref) >= 1) AND (length(client_ref) <= 128))),
    CONSTRAINT purchase_list_price_fen_check CHECK ((list_price_fen > 0)),
    CONSTRAINT purchase_paid_fen_check CHECK ((paid_fen >= 0)),
    CONSTRAINT purchase_purchased_micro_check CHECK ((purchased_micro >= 0)),
    CONSTRAINT purchase_source_check CHECK ((source = ANY (ARRAY['payer'::text, 'auto'::text, 'operator'::text]))),
    CONSTRAINT purchase_state_check CHECK ((state = ANY (ARRAY['open'::text, 'posted'::text, 'closed'::text]))),
    CONSTRAINT purchase_subsidy_micro_check CHECK ((subsidy_micro >= 0)),
    CONSTRAINT purchase_value_fen_check CHECK ((value_fen >= 0))
);


--
-- Name: quote; Type: TABLE; Schema: credits; Owner: -
--

CREATE TABLE credits.quote (
    id uuid NOT NULL,
    org_id uuid NOT NULL,
    beneficiary uuid NOT NULL,
    year integer NOT NULL,
    value_fen bigint NOT NULL,
    benefit_fen bigint NOT NULL,
    paid_fen bigint NOT NULL,
    purchased_micro bigint NOT NULL,
    subsidy_micro bigint NOT NULL,
    list_price_fen bigint NOT NULL,
    category text NOT NULL,
    rule_version text NOT NULL,
    trace jsonb NOT NULL,
    benefit_left_fen bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT quote_benefit_fen_check CHECK ((benefit_fen >= 0)),
    CONSTRAINT quote_benefit_left_fen_check CHECK ((benefit_left_fen >= 0)),
    CONSTRAINT quote_check CHECK (((paid_fen + benefit_fen) = value_fen)),
    CONSTRAINT quote_list_price_fen_check CHECK ((list_price_fen > 0)),
    CONSTRAINT quote_paid_fen_check CHECK ((paid_fen >= 0)),
    CONSTRAINT quote_purchased_micro_check CHECK ((purchased_micro >= 0)),
    CONSTRAINT quote_subsidy_micro_check CHECK ((subsidy_micro >= 0)),
    CONSTRAINT quote_value_fen_check CHECK ((value_fen > 0))
);


--
-- Name: usage_day; Type: TABLE; Schema: gateway; Owner: -
--

CREATE TABLE gateway.usage_day (
    day date NOT NULL,
    org_id uuid NOT NULL,
    key_id uuid NOT NULL,
    model text NOT NULL,
    calls bigint NOT NULL,
    input bigint NOT NULL,
    cached_input bigint NOT NULL,
    output bigint NOT NULL,
    reasoning bigint NOT NULL,
    tool bigint NOT NULL,
    amount_micro bigint NOT NULL,
    CONSTRAINT usage_day_amount_micro_check CHECK ((amount_micro >= 0)),
    CONSTRAINT usage_day_cached_input_check CHECK ((cached_input >= 0)),
    CONSTRAINT usage_day_calls_check CHECK ((calls >= 0)),
    CONSTRAINT usage_day_input_check CHECK ((input >= 0)),
    CONSTRAINT usage_day_output_check CHECK ((output >= 0)),
    CONSTRAINT usage_day_reasoning_check CHECK ((reasoning >= 0)),
    CONSTRAINT usage_day_tool_check CHECK ((tool >= 0))
);


--
-- Name: TABLE usage_day; Type: COMMENT; Schema: gateway; Owner: -
--

COMMENT ON TABLE gateway.usage_day IS 'Tokens and micro-credits by day (Asia/Shanghai); rebuilt from ledger postings.';


--
-- Name: api_key; Type: TABLE; Schema: identity; Owner: -
--

CREATE TABLE identity.api_key (
    id uuid NOT NULL,
    org_id uuid NOT NULL,
    department_id uuid,
    name text NOT NULL,
    prefix text NOT NULL,
    last4 text NOT NULL,
    token_sha256 bytea NOT NULL,
    models text[],
    permissions text[] DEFAULT '{}'::text[] NOT NULL,
    budget_day_micro bigint,
    budget_month_micro bigint,
    rpm integer,
    tpm bigint,
    data_class text NOT NULL,
    limit_scope uuid NOT NULL,
    successor_id uuid,
    created_by uuid,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    revoked_reason text,
    CONSTRAINT api_key_budget_day_micro_check CHECK ((budget_day_micro >= 0)),
    CONSTRAINT api_key_budget_month_micro_check CHECK ((budget_month_micro >= 0)),
    CONSTRAINT api_key_data_class_check CHECK ((data_class = ANY (ARRAY['general'::text, 'citizen'::text, 'government'::text]))),
    CONSTRAINT api_key_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100))),
    CONSTRAINT api_key_rpm_check CHECK ((rpm > 0)),
    CONSTRAINT api_key_token_sha256_check CHECK ((length(token_sha256) = 32)),
    CONSTRAINT api_key_tpm_check CHECK ((tpm > 0))
);


--
-- Name: attempt; Type: TABLE; Schema: identity; Owner: -
--

CREATE TABLE identity.attempt (
    bucket bytea NOT NULL,
    failures integer NOT NULL,
    since timestamp with time zone NOT NULL,
    locked_until timestamp with time zone
);


--
-- Name: audit; Type: TABLE; Schema: identity; Owner: -
--

CREATE TABLE identity.audit (
    id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    org_id uuid,
    details jsonb NOT NULL,
    CONSTRAINT audit_action_check CHECK (((length(action) >= 1) AND (length(action) <= 100))),
    CONSTRAINT audit_object_check CHECK ((length(object) <= 200))
);


--
-- Name: category; Type: TABLE; Schema: identity; Owner: -
--

CREATE TABLE identity.category (
    person_id uuid NOT NULL,
    category text NOT NULL,
    verified boolean NOT NULL,
    valid_from date NOT NULL,
    valid_to date,
    decided_by text NOT NULL,
    decided_at timestamp with time zone NOT NULL,
    CONSTRAINT category_category_check CHECK ((category = ANY (ARRAY['resident'::text, 'local_worker'::text, 'associated_city_resident'::text, 'nomad'::text]))),
    CONSTRAINT category_check CHECK ((valid_to >= valid_from))
);


--
-- Name: challenge; Type: TABLE; Schema: identity; Owner: -
--

CREATE TABLE identity.challenge (
    id uuid NOT NULL,
    purpose text NOT NULL,
    person_id uuid,
    challenge bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT challenge_purpose_check CHECK ((purpose = ANY (ARRAY['register'::text, 'authenticate'::text])))
);


--
-- Name: city_role; Type: TABLE; Schema: identity; Owner: -
--

CREATE TABLE identity.city_role (
    person_id uuid NOT NULL,
    role text NOT NULL,
    granted_by text NOT NULL,
    granted_at timestamp with time zone NOT NULL,
    CONSTRAINT city_role_role_check CHECK ((role = ANY (ARRAY['operator'::text, 'auditor'::text, 'admin'::text])))
);


--
-- Name: consent; Type: TABLE; Schema: identity; Owner: -
--

CREATE TABLE identity.consent (
    id uuid NOT NULL,
    person_id uuid NOT NULL,
    purpose text NOT NULL,
    basis text NOT NULL,
    article text NOT NULL,
    notice_version text NOT NULL,
    given_at timestamp with time zone NOT NULL,
    withdrawn_at timestamp with time zone,
    CONSTRAINT consent_article_check CHECK ((length(article) <= 100)),
    CONSTRAINT consent_basis_check CHECK ((basis = ANY (ARRAY['consent'::text, 'contract'::text, 'legal_duty'::text, 'emergency'::text, 'public_interest'::text, 'published'::text]))),
    CONSTRAINT consent_check CHECK ((withdrawn_at >= given_at)),
    CONSTRAINT consent_notice_version_check CHECK ((length(notice_version) <= 100)),
    CONSTRAINT consent_purpose_check CHECK (((length(purpose) >= 1) AND (length(purpose) <= 200)))
);


--
-- Name: department; Type: TABLE; Schema: identity; Owner: -
--

CREATE TABLE identity.department (
    id uuid NOT NULL,
    org_id uuid NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT department_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200)))
);


--
-- Name: leak; Type: TABLE; Schema: identity; Owner: -
--

CREATE TABLE identity.leak (
    id uuid NOT NULL,
    key_id uuid NOT NULL,
    reporter text NOT NULL,
    note text NOT NULL,
    frozen boolean NOT NULL,
    trace jsonb NOT NULL,
    reported_at timestamp with time zone NOT NULL
);


--
-- Name: membership; Type: TABLE; Schema: identity; Owner: -
--

CREATE TABLE identity.membership (
    org_id uuid NOT NULL,
    person_id uuid NOT NULL,
    role text NOT NULL,
    department_id uuid,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT membership_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'member'::text])))
);


--
-- Name: oidc_flow; Type: TABLE; Schema: identity; Owner: -
--

CREATE TABLE identity.oidc_flow (
    state_sha256 bytea NOT NULL,
    nonce text NOT NULL,
    verifier text NOT NULL,
    return_path text NOT NULL,
    expires_at timestamp with time zone NOT NULL
);


--
-- Name: oidc_subject; Type: TABLE; Schema: identity; Owner: -
--

CREATE TABLE identity.oidc_subject (
    subject_index bytea NOT NULL,
    person_id uuid NOT NULL,
    linked_at timestamp with time zone NOT NULL
);


--
-- Name: organisation; Type: TABLE; Schema: identity; Owner: -
--

CREATE TABLE identity.organisation (
    id uuid NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    person_id uuid,
    registration text,
    locally_registered boolean DEFAULT false NOT NULL,
    local_verified boolean DEFAULT false NOT NULL,
    data_company boolean DEFAULT false NOT NULL,
    cap_group uuid,
    data_class text DEFAULT 'general'::text NOT NULL,
    state text DEFAULT 'active'::text NOT NULL,
    frozen_reason text,
    frozen_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT organisation_check CHECK (((kind = 'person'::text) = (person_id IS NOT NULL))),
    CONSTRAINT organisation_check1 CHECK (((kind <> 'person'::text) OR (name = ''::text))),
    CONSTRAINT organisation_check2 CHECK (((kind = 'person'::text) OR (name <> ''::text))),
    CONSTRAINT organisation_check3 CHECK (((state = 'frozen'::text) = (frozen_reason IS NOT NULL))),
    CONSTRAINT organisation_data_class_check CHECK ((data_class = ANY (ARRAY['general'::text, 'citizen'::text, 'government'::text]))),
    CONSTRAINT organisation_kind_check CHECK ((kind = ANY (ARRAY['company'::text, 'government'::text, 'institution'::text, 'person'::text]))),
    CONSTRAINT organisation_name_check CHECK ((length(name) <= 200)),
    CONSTRAINT organisation_registration_check CHECK (((length(registration) >= 1) AND (length(registration) <= 64))),
    CONSTRAINT organisation_state_check CHECK ((state = ANY (ARRAY['active'::text, 'frozen'::text])))
);


--
-- Name: passkey; Type: TABLE; Schema: identity; Owner: -
--

CREATE TABLE identity.passkey (
    id uuid NOT NULL,
    person_id uuid NOT NULL,
    credential_id bytea NOT NULL,
    public_key bytea NOT NULL,
    sign_count bigint NOT NULL,
    transports text[] NOT NULL,
    backed_up boolean NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    CONSTRAINT passkey_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100)))
);


--
-- Name: password; Type: TABLE; Schema: identity; Owner: -
--

CREATE TABLE identity.password (
    person_id uuid NOT NULL,
    hash text NOT NULL,
    set_at timestamp with time zone NOT NULL
);


--
-- Name: person; Type: TABLE; Schema: identity; Owner: -
--

CREATE TABLE identity.person (
    id uuid NOT NULL,
    state text NOT NULL,
    language text DEFAULT 'zh-CN'::text NOT NULL,
    name_sealed bytea,
    login_sealed bytea,
    email_sealed bytea,
    phone_sealed bytea,
    login_index bytea,
    email_index bytea,
    phone_index bytea,
    email_verified boolean DEFAULT false NOT NULL,
    cap_group uuid,
    created_at timestamp with time zone NOT NULL,
    erased_at timestamp with time zone,
    key_destroyed_at timestamp with time zone,
    CONSTRAINT person_check CHECK (((state <> 'erased'::text) OR ((num_nonnulls(name_sealed, login_sealed, email_sealed, phone_sealed, login_index, email_index, phone_index) = 0) AND (erased_at IS NOT NULL)))),
    CONSTRAINT person_language_check CHECK ((language = ANY (ARRAY['zh-CN'::text, 'en'::text]))),
    CONSTRAINT person_state_check CHECK ((state = ANY (ARRAY['active'::text, 'suspended'::text, 'erased'::text])))
);


--
-- Name: recovery_code; Type: TABLE; Schema: identity; Owner: -
--

CREATE TABLE identity.recovery_code (
    person_id uuid NOT NULL,
    code_sha256 bytea NOT NULL,
    used_at timestamp with time zone
);


--
-- Name: session; Type: TABLE; Schema: identity; Owner: -
--

CREATE TABLE identity.session (
    id uuid NOT NULL,
    token_sha256 bytea NOT NULL,
    person_id uuid NOT NULL,
    org_id uuid,
    stage text NOT NULL,
    methods text[] NOT NULL,
    device_sealed bytea,
    created_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    CONSTRAINT session_stage_check CHECK ((stage = ANY (ARRAY['second_factor'::text, 'enrol'::text, 'full'::text]))),
    CONSTRAINT session_token_sha256_check CHECK ((length(token_sha256) = 32))
);


--
-- Name: totp; Type: TABLE; Schema: identity; Owner: -
--

CREATE TABLE identity.totp (
    person_id uuid NOT NULL,
    secret_sealed bytea NOT NULL,
    confirmed_at timestamp with time zone,
    last_step bigint DEFAULT 0 NOT NULL
);


--
-- Name: dispatch; Type: TABLE; Schema: kernel; Owner: -
--

CREATE TABLE kernel.dispatch (
    notice_id uuid NOT NULL,
    channel text NOT NULL,
    state text DEFAULT 'pending'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    due_at timestamp with time zone NOT NULL,
    error text,
    CONSTRAINT dispatch_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'sent'::text, 'failed'::text, 'none'::text])))
);


--
-- Name: event; Type: TABLE; Schema: kernel; Owner: -
--

CREATE TABLE kernel.event (
    seq bigint NOT NULL,
    id uuid NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    state text DEFAULT 'pending'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    due_at timestamp with time zone NOT NULL,
    done text[] DEFAULT '{}'::text[] NOT NULL,
    error text,
    CONSTRAINT event_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'delivered'::text, 'failed'::text]))),
    CONSTRAINT event_topic_check CHECK ((topic <> ''::text))
);


--
-- Name: event_seq_seq; Type: SEQUENCE; Schema: kernel; Owner: -
--

ALTER TABLE kernel.event ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME kernel.event_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: metric_snapshot; Type: TABLE; Schema: kernel; Owner: -
--

CREATE UNLOGGED TABLE kernel.metric_snapshot (
    worker text NOT NULL,
    taken_at timestamp with time zone NOT NULL,
    families jsonb NOT NULL
);


--
-- Name: migration; Type: TABLE; Schema: kernel; Owner: -
--

CREATE TABLE kernel.migration (
    ordinal integer NOT NULL,
    module text NOT NULL,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamp with time zone NOT NULL
);


--
-- Name: notice; Type: TABLE; Schema: kernel; Owner: -
--

CREATE TABLE kernel.notice (
    id uuid NOT NULL,
    org_id uuid,
    person_id uuid,
    kind text NOT NULL,
    severity text NOT NULL,
    title_zh text NOT NULL,
    title_en text NOT NULL,
    body_zh text NOT NULL,
    body_en text NOT NULL,
    link text DEFAULT ''::text NOT NULL,
    dedupe text,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT notice_severity_check CHECK ((severity = ANY (ARRAY['info'::text, 'warning'::text, 'critical'::text])))
);


--
-- Name: notice_read; Type: TABLE; Schema: kernel; Owner: -
--

CREATE TABLE kernel.notice_read (
    notice_id uuid NOT NULL,
    person_id uuid NOT NULL,
    read_at timestamp with time zone NOT NULL
);


--
-- Name: account; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.account (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    asset text NOT NULL,
    kind text NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    floor bigint,
    lots boolean NOT NULL,
    balance bigint DEFAULT 0 NOT NULL,
    held bigint DEFAULT 0 NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    CONSTRAINT account_asset_check CHECK ((asset = ANY (ARRAY['credit'::text, 'cny'::text, 'voucher'::text, 'ticket'::text, 'point'::text]))),
    CONSTRAINT account_check CHECK (((NOT lots) OR (floor >= 0))),
    CONSTRAINT account_floor CHECK (((floor IS NULL) OR ((balance - held) >= floor))),
    CONSTRAINT account_held_check CHECK ((held >= 0))
)
WITH (fillfactor='50');


--
-- Name: counter; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.counter (
    scope uuid NOT NULL,
    name text NOT NULL,
    win text NOT NULL,
    used bigint NOT NULL,
    touched timestamp with time zone NOT NULL,
    CONSTRAINT counter_used_check CHECK ((used >= 0))
)
WITH (fillfactor='50');


--
-- Name: hold; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.hold (
    id uuid NOT NULL,
    account uuid NOT NULL,
    amount bigint NOT NULL,
    purpose text NOT NULL,
    state text DEFAULT 'open'::text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    lots uuid[] NOT NULL,
    lot_amounts bigint[] NOT NULL,
    captured bigint DEFAULT 0 NOT NULL,
    posting uuid,
    CONSTRAINT hold_amount_check CHECK ((amount >= 0)),
    CONSTRAINT hold_check CHECK ((cardinality(lots) = cardinality(lot_amounts))),
    CONSTRAINT hold_check1 CHECK ((captured <= amount)),
    CONSTRAINT hold_state_check CHECK ((state = ANY (ARRAY['open'::text, 'captured'::text, 'voided'::text, 'expired'::text])))
)
WITH (fillfactor='70');


--
-- Name: hold_lot; Type: VIEW; Schema: ledger; Owner: -
--

CREATE VIEW ledger.hold_lot AS
 SELECT h.id AS hold,
    h.account,
    h.state,
    h.expires_at,
    u.lot,
    u.amount
   FROM (ledger.hold h
     CROSS JOIN LATERAL UNNEST(h.lots, h.lot_amounts) u(lot, amount));


--
-- Name: lease; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.lease (
    epoch bigint NOT NULL,
    account uuid NOT NULL,
    worker text NOT NULL,
    granted_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL
)
WITH (fillfactor='50');


--
-- Name: lease_epoch_seq; Type: SEQUENCE; Schema: ledger; Owner: -
--

ALTER TABLE ledger.lease ALTER COLUMN epoch ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ledger.lease_epoch_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: lease_lot; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.lease_lot (
    epoch bigint NOT NULL,
    lot uuid NOT NULL,
    amount bigint NOT NULL,
    CONSTRAINT lease_left CHECK ((amount >= 0))
)
WITH (fillfactor='30');


--
-- Name: lot; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.lot (
    id uuid NOT NULL,
    account uuid NOT NULL,
    provenance text NOT NULL,
    parent uuid,
    issued bigint NOT NULL,
    remaining bigint NOT NULL,
    held bigint DEFAULT 0 NOT NULL,
    issued_at timestamp with time zone NOT NULL,
    spendable_at timestamp with time zone,
    unlock_at timestamp with time zone,
    expires_at timestamp with time zone,
    earmark jsonb,
    unit_cost_fen bigint,
    open boolean NOT NULL,
    CONSTRAINT lot_bounds CHECK (((0 <= held) AND (held <= remaining) AND (remaining <= issued))),
    CONSTRAINT lot_check CHECK ((open = (remaining > 0))),
    CONSTRAINT lot_provenance_check CHECK ((provenance = ANY (ARRAY['subsidy'::text, 'reward'::text, 'purchased'::text, 'exchange'::text])))
)
WITH (fillfactor='50');


--
-- Name: period; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.period (
    closed_through date NOT NULL,
    closed_at timestamp with time zone NOT NULL,
    actor text NOT NULL
);


--
-- Name: period_balance; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.period_balance (
    closed_through date NOT NULL,
    account uuid NOT NULL,
    balance bigint NOT NULL
);


--
-- Name: posting; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.posting (
    id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    day date NOT NULL,
    kind text NOT NULL,
    actor text DEFAULT ''::text NOT NULL,
    memo text DEFAULT ''::text NOT NULL,
    reverses uuid,
    evidence bytea,
    lots uuid[],
    lot_deltas bigint[]
);


--
-- Name: posting_transfer; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.posting_transfer (
    posting uuid NOT NULL,
    ordinal integer NOT NULL,
    transfer uuid NOT NULL
);


--
-- Name: stripe; Type: TABLE; Schema: ledger; Owner: -
--

CREATE TABLE ledger.stripe (
    account uuid NOT NULL,
    worker text NOT NULL,
    balance bigint NOT NULL
)
WITH (fillfactor='50');


--
-- Name: mandate; Type: TABLE; Schema: payments; Owner: -
--

CREATE TABLE payments.mandate (
    id uuid NOT NULL,
    org_id uuid NOT NULL,
    client_ref text NOT NULL,
    provider text NOT NULL,
    provider_ref text,
    limit_fen bigint NOT NULL,
    state text NOT NULL,
    redirect_url text,
    created_at timestamp with time zone NOT NULL,
    decided_at timestamp with time zone,
    CONSTRAINT mandate_client_ref_check CHECK (((length(client_ref) >= 1) AND (length(client_ref) <= 128))),
    CONSTRAINT mandate_limit_fen_check CHECK ((limit_fen > 0)),
    CONSTRAINT mandate_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'active'::text, 'revoked'::text])))
);


--
-- Name: notification; Type: TABLE; Schema: payments; Owner: -
--

CREATE TABLE payments.notification (
    provider text NOT NULL,
    nonce text NOT NULL,
    event_id text NOT NULL,
    event text NOT NULL,
    subject_id uuid NOT NULL,
    changed boolean NOT NULL,
    received_at timestamp with time zone NOT NULL
);


--
-- Name: order_event; Type: TABLE; Schema: payments; Owner: -
--

CREATE TABLE payments.order_event (
    order_id uuid NOT NULL,
    ordinal integer NOT NULL,
    state_from text,
    state_to text NOT NULL,
    cause text NOT NULL,
    at timestamp with time zone NOT NULL
);


--
-- Name: pay_order; Type: TABLE; Schema: payments; Owner: -
--

CREATE TABLE payments.pay_order (
    id uuid NOT NULL,
    org_id uuid NOT NULL,
    client_ref text NOT NULL,
    purpose text NOT NULL,
    provider text NOT NULL,
    provider_ref text,
    mandate_id uuid,
    amount_fen bigint NOT NULL,
    refunded_fen bigint DEFAULT 0 NOT NULL,
    subject text NOT NULL,
    return_path text NOT NULL,
    redirect_url text,
    state text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    paid_at timestamp with time zone,
    checked_at timestamp with time zone NOT NULL,
    settled_at timestamp with time zone,
    settled_ref uuid,
    CONSTRAINT pay_order_amount_fen_check CHECK ((amount_fen > 0)),
    CONSTRAINT pay_order_check CHECK (((refunded_fen >= 0) AND (refunded_fen <= amount_fen))),
    CONSTRAINT pay_order_check1 CHECK (((state = ANY (ARRAY['paid'::text, 'refunded'::text])) = (paid_at IS NOT NULL))),
    CONSTRAINT pay_order_check2 CHECK (((state <> 'refunded'::text) OR (refunded_fen = amount_fen))),
    CONSTRAINT pay_order_check3 CHECK (((settled_at IS NULL) OR (state = ANY (ARRAY['paid'::text, 'refunded'::text, 'expired'::text])))),
    CONSTRAINT pay_order_client_ref_check CHECK (((length(client_ref) >= 1) AND (length(client_ref) <= 128))),
    CONSTRAINT pay_order_state_check CHECK ((state = ANY (ARRAY['created'::text, 'pending'::text, 'paid'::text, 'failed'::text, 'expired'::text, 'refunded'::text])))
);


--
-- Name: refund; Type: TABLE; Schema: payments; Owner: -
--

CREATE TABLE payments.refund (
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    client_ref text NOT NULL,
    amount_fen bigint NOT NULL,
    reason text NOT NULL,
    actor text NOT NULL,
    state text NOT NULL,
    provider_ref text,
    created_at timestamp with time zone NOT NULL,
    decided_at timestamp with time zone,
    CONSTRAINT refund_amount_fen_check CHECK ((amount_fen > 0)),
    CONSTRAINT refund_client_ref_check CHECK (((length(client_ref) >= 1) AND (length(client_ref) <= 128))),
    CONSTRAINT refund_state_check CHECK ((state = ANY (ARRAY['requested'::text, 'succeeded'::text, 'failed'::text])))
);


--
-- Name: sandbox_mandate; Type: TABLE; Schema: payments; Owner: -
--

CREATE TABLE payments.sandbox_mandate (
    ref text NOT NULL,
    mandate_id uuid NOT NULL,
    limit_fen bigint NOT NULL,
    state text NOT NULL,
    return_path text NOT NULL,
    CONSTRAINT sandbox_mandate_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'active'::text, 'revoked'::text])))
);


--
-- Name: sandbox_notice; Type: TABLE; Schema: payments; Owner: -
--

CREATE TABLE payments.sandbox_notice (
    id bigint NOT NULL,
    body jsonb NOT NULL,
    due_at timestamp with time zone NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    delivered_at timestamp with time zone
);


--
-- Name: sandbox_notice_id_seq; Type: SEQUENCE; Schema: payments; Owner: -
--

ALTER TABLE payments.sandbox_notice ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME payments.sandbox_notice_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: sandbox_payment; Type: TABLE; Schema: payments; Owner: -
--

CREATE TABLE payments.sandbox_payment (
    ref text NOT NULL,
    order_id uuid NOT NULL,
    amount_fen bigint NOT NULL,
    subject text NOT NULL,
    return_path text NOT NULL,
    state text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    paid_at timestamp with time zone,
    CONSTRAINT sandbox_payment_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'failed'::text, 'paid'::text, 'expired'::text])))
);


--
-- Name: sandbox_refund; Type: TABLE; Schema: payments; Owner: -
--

CREATE TABLE payments.sandbox_refund (
    refund_id uuid NOT NULL,
    ref text NOT NULL,
    amount_fen bigint NOT NULL
);


--
-- Name: amendment; Type: TABLE; Schema: rulebook; Owner: -
--

CREATE TABLE rulebook.amendment (
    id uuid NOT NULL,
    ordinal bigint NOT NULL,
    rule_id text NOT NULL,
    content jsonb NOT NULL,
    sha256 text NOT NULL,
    decided_by text NOT NULL,
    note text DEFAULT ''::text NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    CONSTRAINT amendment_content_check CHECK ((jsonb_typeof(content) = 'object'::text)),
    CONSTRAINT amendment_decided_by_check CHECK ((decided_by <> ''::text)),
    CONSTRAINT amendment_rule_id_check CHECK ((rule_id ~ '^[A-Z][0-9]{1,2}_[a-z0-9_]{3,60}$'::text)),
    CONSTRAINT amendment_sha256_check CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text))
);


--
-- Name: amendment_ordinal_seq; Type: SEQUENCE; Schema: rulebook; Owner: -
--

ALTER TABLE rulebook.amendment ALTER COLUMN ordinal ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rulebook.amendment_ordinal_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Data for Name: engine; Type: TABLE DATA; Schema: compute; Owner: -
--

COPY compute.engine (id, name, kind, url, key_env, contributor, local, data_classes, features, enabled, lazy, slots, queue, first_token_timeout_ms, idle_timeout_ms, created_at, created_by) FROM stdin;
\.


--
-- Data for Name: engine_event; Type: TABLE DATA; Schema: compute; Owner: -
--

COPY compute.engine_event (id, engine, event, cause, actor, at) FROM stdin;
\.


--
-- Data for Name: engine_model; Type: TABLE DATA; Schema: compute; Owner: -
--

COPY compute.engine_model (engine_id, model, upstream, context_tokens, cost_input, cost_cached_input, cost_output, cost_reasoning, cost_tool) FROM stdin;
\.


--
-- Data for Name: model; Type: TABLE DATA; Schema: compute; Owner: -
--

COPY compute.model (id, kind, title_zh, title_en, licence, made_by, price_class, created_at) FROM stdin;
\.


--
-- Data for Name: price; Type: TABLE DATA; Schema: compute; Owner: -
--

COPY compute.price (version_id, bucket, cost_micro, list_micro, thin, loss, facts, outputs, trace) FROM stdin;
\.


--
-- Data for Name: price_version; Type: TABLE DATA; Schema: compute; Owner: -
--

COPY compute.price_version (id, model, valid_from, announced_at, rule_version, actor) FROM stdin;
\.


--
-- Data for Name: alert; Type: TABLE DATA; Schema: credits; Owner: -
--

COPY credits.alert (id, org_id, name, time_window, amount_micro, percent, key_id, enabled, fired_for, checked_at, created_at, actor) FROM stdin;
01a216af-a8a4-77ee-8483-2a2a3d77c583	01a216af-a5c5-70d5-9f06-1e8174dab4fe	month	month	50000000	100	\N	t	\N	1970-01-01 00:00:00+00	2026-09-04 02:00:00+00	recorder
\.


--
-- Data for Name: alert_firing; Type: TABLE DATA; Schema: credits; Owner: -
--

COPY credits.alert_firing (alert_id, window_start, threshold_micro, spent_micro, fired_at) FROM stdin;
\.


--
-- Data for Name: auto_top_up; Type: TABLE DATA; Schema: credits; Owner: -
--

COPY credits.auto_top_up (org_id, threshold_micro, value_fen, monthly_cap_fen, provider, mandate_id, enabled, epoch, purchase_id, failures, not_before, checked_at, actor, created_at, updated_at) FROM stdin;
01a216af-a5c5-70d5-9f06-1e8174dab4fe	100000000	20000	100000	sandbox	01a216af-a891-733b-88c9-6a600eb514ac	t	0	\N	0	\N	2026-09-04 02:00:00+00	recorder	2026-09-04 02:00:00+00	2026-09-04 02:00:00+00
\.


--
-- Data for Name: benefit; Type: TABLE DATA; Schema: credits; Owner: -
--

COPY credits.benefit (beneficiary, year, reserved_fen, given_fen) FROM stdin;
01a216af-a5c5-70d5-9f06-1e8174dab4fe	2026	9000	60000
\.


--
-- Data for Name: purchase; Type: TABLE DATA; Schema: credits; Owner: -
--

COPY credits.purchase (id, org_id, client_ref, source, method, actor, reason, beneficiary, year, value_fen, benefit_fen, paid_fen, purchased_micro, subsidy_micro, list_price_fen, category, rule_version, trace, state, order_id, posting_id, created_at, checked_at, decided_at) FROM stdin;
01a216af-a52a-76aa-ba01-2b239bb6c7b9	01a216af-a42c-7110-9ffc-75483ed4cc92	demo-first-credits	operator	cash_desk	demo	demo city	01a216af-a42c-7110-9ffc-75483ed4cc92	2026	1000000	0	1000000	10000000000	0	100	none	list	{"method": "amount × list price, half-even to the fen; no discount", "paid_fen": 1000000, "amount_micro": 10000000000, "list_price_fen": 100}	posted	\N	01a216af-a52a-76aa-ba01-2b24c66005f9	2026-09-01 02:00:00+00	2026-09-01 02:00:00+00	2026-09-01 02:00:00+00
01a216af-a5ea-741a-a06b-9bae594e06b9	01a216af-a5c5-70d5-9f06-1e8174dab4fe	first	payer	sandbox	recorder		01a216af-a5c5-70d5-9f06-1e8174dab4fe	2026	200000	60000	140000	1400000000	600000000	100	local_company	51b13f70bb91d7c4e1ef0533c4997bebc7fdb4e583b521e23d100de63a9ad593	{"on": "2026-09-01", "rule": "P1_resident_discount", "event": {"name": "purchased_on", "title": {"en": "day of purchase", "zh": "购买日"}}, "known": null, "steps": [{"name": "rate", "unit": "", "exact": "3/10", "tests": [{"test": "'local_company' in ['local_company', 'local_data_company', 'resident', 'associated_city_resident', 'local_worker', 'nomad']", "holds": true}], "title": {"en": "Rate that applies", "zh": "适用优惠率"}, "display": "0.3", "arithmetic": "3/10", "expression": "discount if category in eligible else 0"}, {"name": "by_rate", "unit": "fen", "exact": "60000", "tests": [], "title": {"en": "Benefit by rate", "zh": "按优惠率计算的优惠"}, "display": "¥600.00", "arithmetic": "200000 * (3/10)", "expression": "value_fen * rate"}, {"name": "left", "unit": "fen", "exact": "100000000", "tests": [], "title": {"en": "Cap left this year", "zh": "本年剩余额度"}, "display": "¥1,000,000.00", "arithmetic": "max((100000000 - 0), 0)", "expression": "max(cap_fen - benefit_used_fen, 0)"}], "title": {"en": "Resident discount", "zh": "本地主体优惠购买"}, "amount": "benefit_fen", "inputs": [{"name": "category", "type": "enum", "unit": "", "title": {"en": "Category of the buyer", "zh": "购买人类别"}, "value": "local_company", "display": "local_company"}, {"name": "value_fen", "type": "number", "unit": "fen", "title": {"en": "Purchase at list price", "zh": "按标价计的购买额"}, "value": 200000, "display": "¥2,000.00"}, {"name": "benefit_used_fen", "type": "number", "unit": "fen", "title": {"en": "Benefit already given this calendar year", "zh": "本年已享受的优惠"}, "value": 0, "display": "¥0.00"}], "article": "四·1.3", "binding": [{"op": "min", "text": {"en": "Benefit by rate (¥600.00) ≤ Cap left this year (¥1,000,000.00), so the smaller counts", "zh": "按优惠率计算的优惠（¥600.00） ≤ 本年剩余额度（¥1,000,000.00），故取较小的 按优惠率计算的优惠（¥600.00）"}, "slack": "99940000"}, {"op": "max", "text": {"en": "¥1,000,000.00 ≥ ¥0.00, so the larger counts", "zh": "¥1,000,000.00 ≥ ¥0.00，故取较大的 ¥1,000,000.00"}, "slack": "100000000"}], "nearest": [{"to": 333333334, "fact": "value_fen", "from": 200000, "text": {"en": "With ¥3,331,333.34 more “Purchase at list price” (¥3,333,333.34): Benefit ¥1,000,000.00, Paid ¥2,333,333.34, Credits bought 3,333,333.340000, Subsidy lot 1,000,000.000000, Purchased lot 2,333,333.340000", "zh": "若按标价计的购买额增加 ¥3,331,333.34（至 ¥3,333,333.34）：优惠金额 ¥1,000,000.00，实付金额 ¥2,333,333.34，购得积分 3,333,333.340000，补贴批次 1,000,000.000000，自购批次 2,333,333.340000"}, "outputs": {"paid_fen": 233333334, "benefit_fen": 100000000, "subsidy_micro": 1000000000000, "quantity_micro": 3333333340000, "purchased_micro": 2333333340000}}, {"to": 99940001, "fact": "benefit_used_fen", "from": 0, "text": {"en": "With ¥999,400.01 more “Benefit already given this calendar year” (¥999,400.01): Benefit ¥599.99, Paid ¥1,400.01, Subsidy lot 599.990000, Purchased lot 1,400.010000", "zh": "若本年已享受的优惠增加 ¥999,400.01（至 ¥999,400.01）：优惠金额 ¥599.99，实付金额 ¥1,400.01，补贴批次 599.990000，自购批次 1,400.010000"}, "outputs": {"paid_fen": 140001, "benefit_fen": 59999, "subsidy_micro": 599990000, "quantity_micro": 2000000000, "purchased_micro": 1400010000}}], "outputs": [{"name": "benefit_fen", "unit": "fen", "exact": "60000", "tests": [], "title": {"en": "Benefit", "zh": "优惠金额"}, "value": 60000, "display": "¥600.00", "rounded": false, "rounding": "half_even", "arithmetic": "min(60000, 100000000)", "expression": "min(by_rate, left)", "rounding_title": {"en": "half to even", "zh": "四舍六入五成双"}}, {"name": "paid_fen", "unit": "fen", "exact": "140000", "tests": [], "title": {"en": "Paid", "zh": "实付金额"}, "value": 140000, "display": "¥1,400.00", "rounded": false, "rounding": "half_even", "arithmetic": "200000 - 60000", "expression": "value_fen - benefit_fen", "rounding_title": {"en": "half to even", "zh": "四舍六入五成双"}}, {"name": "quantity_micro", "unit": "micro", "exact": "2000000000", "tests": [], "title": {"en": "Credits bought", "zh": "购得积分"}, "value": 2000000000, "display": "2,000.000000", "rounded": false, "rounding": "half_even", "arithmetic": "200000 / (1/10000)", "expression": "value_fen / list_price_fen", "rounding_title": {"en": "half to even", "zh": "四舍六入五成双"}}, {"name": "subsidy_micro", "unit": "micro", "exact": "600000000", "tests": [], "title": {"en": "Subsidy lot", "zh": "补贴批次"}, "value": 600000000, "display": "600.000000", "rounded": false, "rounding": "floor", "arithmetic": "60000 / (1/10000)", "expression": "benefit_fen / list_price_fen", "rounding_title": {"en": "down", "zh": "向下取整"}}, {"name": "purchased_micro", "unit": "micro", "exact": "1400000000", "tests": [], "title": {"en": "Purchased lot", "zh": "自购批次"}, "value": 1400000000, "display": "1,400.000000", "rounded": false, "rounding": "half_even", "arithmetic": "2000000000 - 600000000", "expression": "quantity_micro - subsidy_micro", "rounding_title": {"en": "half to even", "zh": "四舍六入五成双"}}], "version": "51b13f70bb91d7c4e1ef0533c4997bebc7fdb4e583b521e23d100de63a9ad593", "amendment": null, "rule_hash": "d483138ef42dee41672016369b39698d562eb15b1809e650c5a584e764b46e93", "department": {"en": "Digital office (platform operations)", "zh": "市数字办（平台运营处）"}, "parameters": [{"from": "2025-01-01", "name": "discount", "unit": "bps", "title": {"en": "Discount", "zh": "优惠率"}, "value": 3000, "origin": "given", "reason": null, "article": "四·1.3", "display": "30%", "amendment": null, "announced": "2024-12-01"}, {"from": "2025-01-01", "name": "cap_fen", "unit": "fen", "title": {"en": "Cap of the benefit per person and calendar year", "zh": "每人每个公历年的优惠上限"}, "value": 100000000, "origin": "given", "reason": null, "article": "四·1.3", "display": "¥1,000,000.00", "amendment": null, "announced": "2024-12-01"}, {"from": "2025-01-01", "name": "list_price_fen", "unit": "fen_per_credit", "title": {"en": "List price of a credit", "zh": "积分标价"}, "value": 100, "origin": "assumed", "reason": {"en": "The source names no price; the model is unknown at purchase, so the list price stands for the market", "zh": "原文未定积分单价；购买时尚不知用哪个模型，故以标价代“市场价”"}, "article": "四·1.3", "display": "100", "amendment": null, "announced": "2024-12-01"}, {"from": "2025-01-01", "name": "eligible", "unit": "enum", "title": {"en": "Categories entitled", "zh": "享受优惠的类别"}, "value": ["local_company", "local_data_company", "resident", "associated_city_resident", "local_worker", "nomad"], "origin": "given", "reason": null, "article": "四·1.3", "display": "local_company, local_data_company, resident, associated_city_resident, local_worker, nomad", "amendment": null, "announced": "2024-12-01"}], "alternatives": [{"to": "none", "fact": "category", "from": "local_company", "text": {"en": "With “Category of the buyer” none: Benefit ¥0.00, Paid ¥2,000.00, Subsidy lot 0.000000, Purchased lot 2,000.000000", "zh": "若购买人类别为 none：优惠金额 ¥0.00，实付金额 ¥2,000.00，补贴批次 0.000000，自购批次 2,000.000000"}, "outputs": {"paid_fen": 200000, "benefit_fen": 0, "subsidy_micro": 0, "quantity_micro": 2000000000, "purchased_micro": 2000000000}}], "trace_version": 1}	posted	01a216af-a5ea-741a-a06b-9bae594e06b9	01a216af-a5ea-741a-a06b-9baf6575cb5b	2026-09-01 02:00:00+00	2026-09-01 02:00:00+00	2026-09-01 02:00:00+00
01a216af-a6a4-7566-a821-6265773a3a42	01a216af-a5d5-709f-946b-5f9bce2e3f85	desk 1	operator	bank_transfer	recorder	cash desk	01a216af-a5d5-709f-946b-5f9bce2e3f85	2026	5000	0	5000	50000000	0	100	none	list	{"method": "amount × list price, half-even to the fen; no discount", "paid_fen": 5000, "amount_micro": 50000000, "list_price_fen": 100}	posted	\N	01a216af-a6a4-7566-a821-62661191eea9	2026-09-01 02:00:00+00	2026-09-01 02:00:00+00	2026-09-01 02:00:00+00
01a216af-a8c6-7219-acce-e25519ec1588	01a216af-a5c5-70d5-9f06-1e8174dab4fe	unpaid	payer	sandbox	recorder		01a216af-a5c5-70d5-9f06-1e8174dab4fe	2026	30000	9000	21000	210000000	90000000	100	local_company	51b13f70bb91d7c4e1ef0533c4997bebc7fdb4e583b521e23d100de63a9ad593	{"on": "2026-09-04", "rule": "P1_resident_discount", "event": {"name": "purchased_on", "title": {"en": "day of purchase", "zh": "购买日"}}, "known": null, "steps": [{"name": "rate", "unit": "", "exact": "3/10", "tests": [{"test": "'local_company' in ['local_company', 'local_data_company', 'resident', 'associated_city_resident', 'local_worker', 'nomad']", "holds": true}], "title": {"en": "Rate that applies", "zh": "适用优惠率"}, "display": "0.3", "arithmetic": "3/10", "expression": "discount if category in eligible else 0"}, {"name": "by_rate", "unit": "fen", "exact": "9000", "tests": [], "title": {"en": "Benefit by rate", "zh": "按优惠率计算的优惠"}, "display": "¥90.00", "arithmetic": "30000 * (3/10)", "expression": "value_fen * rate"}, {"name": "left", "unit": "fen", "exact": "99940000", "tests": [], "title": {"en": "Cap left this year", "zh": "本年剩余额度"}, "display": "¥999,400.00", "arithmetic": "max((100000000 - 60000), 0)", "expression": "max(cap_fen - benefit_used_fen, 0)"}], "title": {"en": "Resident discount", "zh": "本地主体优惠购买"}, "amount": "benefit_fen", "inputs": [{"name": "category", "type": "enum", "unit": "", "title": {"en": "Category of the buyer", "zh": "购买人类别"}, "value": "local_company", "display": "local_company"}, {"name": "value_fen", "type": "number", "unit": "fen", "title": {"en": "Purchase at list price", "zh": "按标价计的购买额"}, "value": 30000, "display": "¥300.00"}, {"name": "benefit_used_fen", "type": "number", "unit": "fen", "title": {"en": "Benefit already given this calendar year", "zh": "本年已享受的优惠"}, "value": 60000, "display": "¥600.00"}], "article": "四·1.3", "binding": [{"op": "min", "text": {"en": "Benefit by rate (¥90.00) ≤ Cap left this year (¥999,400.00), so the smaller counts", "zh": "按优惠率计算的优惠（¥90.00） ≤ 本年剩余额度（¥999,400.00），故取较小的 按优惠率计算的优惠（¥90.00）"}, "slack": "99931000"}, {"op": "max", "text": {"en": "¥999,400.00 ≥ ¥0.00, so the larger counts", "zh": "¥999,400.00 ≥ ¥0.00，故取较大的 ¥999,400.00"}, "slack": "99940000"}], "nearest": [{"to": 99991001, "fact": "benefit_used_fen", "from": 60000, "text": {"en": "With ¥999,310.01 more “Benefit already given this calendar year” (¥999,910.01): Benefit ¥89.99, Paid ¥210.01, Subsidy lot 89.990000, Purchased lot 210.010000", "zh": "若本年已享受的优惠增加 ¥999,310.01（至 ¥999,910.01）：优惠金额 ¥89.99，实付金额 ¥210.01，补贴批次 89.990000，自购批次 210.010000"}, "outputs": {"paid_fen": 21001, "benefit_fen": 8999, "subsidy_micro": 89990000, "quantity_micro": 300000000, "purchased_micro": 210010000}}, {"to": 333133334, "fact": "value_fen", "from": 30000, "text": {"en": "With ¥3,331,033.34 more “Purchase at list price” (¥3,331,333.34): Benefit ¥999,400.00, Paid ¥2,331,933.34, Credits bought 3,331,333.340000, Subsidy lot 999,400.000000, Purchased lot 2,331,933.340000", "zh": "若按标价计的购买额增加 ¥3,331,033.34（至 ¥3,331,333.34）：优惠金额 ¥999,400.00，实付金额 ¥2,331,933.34，购得积分 3,331,333.340000，补贴批次 999,400.000000，自购批次 2,331,933.340000"}, "outputs": {"paid_fen": 233193334, "benefit_fen": 99940000, "subsidy_micro": 999400000000, "quantity_micro": 3331333340000, "purchased_micro": 2331933340000}}], "outputs": [{"name": "benefit_fen", "unit": "fen", "exact": "9000", "tests": [], "title": {"en": "Benefit", "zh": "优惠金额"}, "value": 9000, "display": "¥90.00", "rounded": false, "rounding": "half_even", "arithmetic": "min(9000, 99940000)", "expression": "min(by_rate, left)", "rounding_title": {"en": "half to even", "zh": "四舍六入五成双"}}, {"name": "paid_fen", "unit": "fen", "exact": "21000", "tests": [], "title": {"en": "Paid", "zh": "实付金额"}, "value": 21000, "display": "¥210.00", "rounded": false, "rounding": "half_even", "arithmetic": "30000 - 9000", "expression": "value_fen - benefit_fen", "rounding_title": {"en": "half to even", "zh": "四舍六入五成双"}}, {"name": "quantity_micro", "unit": "micro", "exact": "300000000", "tests": [], "title": {"en": "Credits bought", "zh": "购得积分"}, "value": 300000000, "display": "300.000000", "rounded": false, "rounding": "half_even", "arithmetic": "30000 / (1/10000)", "expression": "value_fen / list_price_fen", "rounding_title": {"en": "half to even", "zh": "四舍六入五成双"}}, {"name": "subsidy_micro", "unit": "micro", "exact": "90000000", "tests": [], "title": {"en": "Subsidy lot", "zh": "补贴批次"}, "value": 90000000, "display": "90.000000", "rounded": false, "rounding": "floor", "arithmetic": "9000 / (1/10000)", "expression": "benefit_fen / list_price_fen", "rounding_title": {"en": "down", "zh": "向下取整"}}, {"name": "purchased_micro", "unit": "micro", "exact": "210000000", "tests": [], "title": {"en": "Purchased lot", "zh": "自购批次"}, "value": 210000000, "display": "210.000000", "rounded": false, "rounding": "half_even", "arithmetic": "300000000 - 90000000", "expression": "quantity_micro - subsidy_micro", "rounding_title": {"en": "half to even", "zh": "四舍六入五成双"}}], "version": "51b13f70bb91d7c4e1ef0533c4997bebc7fdb4e583b521e23d100de63a9ad593", "amendment": null, "rule_hash": "d483138ef42dee41672016369b39698d562eb15b1809e650c5a584e764b46e93", "department": {"en": "Digital office (platform operations)", "zh": "市数字办（平台运营处）"}, "parameters": [{"from": "2025-01-01", "name": "discount", "unit": "bps", "title": {"en": "Discount", "zh": "优惠率"}, "value": 3000, "origin": "given", "reason": null, "article": "四·1.3", "display": "30%", "amendment": null, "announced": "2024-12-01"}, {"from": "2025-01-01", "name": "cap_fen", "unit": "fen", "title": {"en": "Cap of the benefit per person and calendar year", "zh": "每人每个公历年的优惠上限"}, "value": 100000000, "origin": "given", "reason": null, "article": "四·1.3", "display": "¥1,000,000.00", "amendment": null, "announced": "2024-12-01"}, {"from": "2025-01-01", "name": "list_price_fen", "unit": "fen_per_credit", "title": {"en": "List price of a credit", "zh": "积分标价"}, "value": 100, "origin": "assumed", "reason": {"en": "The source names no price; the model is unknown at purchase, so the list price stands for the market", "zh": "原文未定积分单价；购买时尚不知用哪个模型，故以标价代“市场价”"}, "article": "四·1.3", "display": "100", "amendment": null, "announced": "2024-12-01"}, {"from": "2025-01-01", "name": "eligible", "unit": "enum", "title": {"en": "Categories entitled", "zh": "享受优惠的类别"}, "value": ["local_company", "local_data_company", "resident", "associated_city_resident", "local_worker", "nomad"], "origin": "given", "reason": null, "article": "四·1.3", "display": "local_company, local_data_company, resident, associated_city_resident, local_worker, nomad", "amendment": null, "announced": "2024-12-01"}], "alternatives": [{"to": "none", "fact": "category", "from": "local_company", "text": {"en": "With “Category of the buyer” none: Benefit ¥0.00, Paid ¥300.00, Subsidy lot 0.000000, Purchased lot 300.000000", "zh": "若购买人类别为 none：优惠金额 ¥0.00，实付金额 ¥300.00，补贴批次 0.000000，自购批次 300.000000"}, "outputs": {"paid_fen": 30000, "benefit_fen": 0, "subsidy_micro": 0, "quantity_micro": 300000000, "purchased_micro": 300000000}}], "trace_version": 1}	open	01a216af-a8c6-7219-acce-e25519ec1588	01a216af-a8c6-7219-acce-e2562a979a8c	2026-09-04 02:00:00+00	2026-09-04 02:00:00+00	\N
\.


--
-- Data for Name: quote; Type: TABLE DATA; Schema: credits; Owner: -
--

COPY credits.quote (id, org_id, beneficiary, year, value_fen, benefit_fen, paid_fen, purchased_micro, subsidy_micro, list_price_fen, category, rule_version, trace, benefit_left_fen, created_at, expires_at) FROM stdin;
\.


--
-- Data for Name: usage_day; Type: TABLE DATA; Schema: gateway; Owner: -
--

COPY gateway.usage_day (day, org_id, key_id, model, calls, input, cached_input, output, reasoning, tool, amount_micro) FROM stdin;
2026-09-01	01a216af-a5c5-70d5-9f06-1e8174dab4fe	01a216af-a5cf-76dd-bfaf-2061edd594cc	good	12	544482	0	114666	0	0	2006292
\.


--
-- Data for Name: api_key; Type: TABLE DATA; Schema: identity; Owner: -
--

COPY identity.api_key (id, org_id, department_id, name, prefix, last4, token_sha256, models, permissions, budget_day_micro, budget_month_micro, rpm, tpm, data_class, limit_scope, successor_id, created_by, created_at, expires_at, revoked_at, revoked_reason) FROM stdin;
01a216af-a5be-729b-8869-ec816a1d9abb	01a216af-a42c-7110-9ffc-75483ed4cc92	\N	demo	sk-sh-nlXN4m	ojkG	\\x254dcca2f91a010c33b633c391588f70cf8c6ad0b3abcea9db4c5a715b3bd89f	\N	{}	\N	\N	\N	\N	general	01a216af-a5be-729b-8869-ec816a1d9abb	\N	\N	2026-09-01 02:00:00+00	\N	\N	\N
01a216af-a5cf-76dd-bfaf-2061edd594cc	01a216af-a5c5-70d5-9f06-1e8174dab4fe	\N	first	sk-sh-SVSEV1	Wo4j	\\x550bb590691c41691fe4e7f8c6bb9d3f3e44e483e1b97c98a9a41a2ce54a33df	\N	{}	\N	\N	\N	\N	general	01a216af-a5cf-76dd-bfaf-2061edd594cc	\N	\N	2026-09-01 02:00:00+00	\N	\N	\N
01a216af-a5d7-733b-8c91-784316be89a5	01a216af-a5d5-709f-946b-5f9bce2e3f85	\N	first	sk-sh-hhMjvo	bwv0	\\xdedad90ed8be3363a71b221c583f62f1507e40e07b9e1ba6271f6ee06a42fc25	\N	{}	\N	\N	\N	\N	general	01a216af-a5d7-733b-8c91-784316be89a5	\N	\N	2026-09-01 02:00:00+00	\N	\N	\N
\.


--
-- Data for Name: attempt; Type: TABLE DATA; Schema: identity; Owner: -
--

COPY identity.attempt (bucket, failures, since, locked_until) FROM stdin;
\.


--
-- Data for Name: audit; Type: TABLE DATA; Schema: identity; Owner: -
--

COPY identity.audit (id, at, actor, action, object, org_id, details) FROM stdin;
01a216af-a42e-7593-bd67-2dcbdd867c2d	2026-09-01 02:00:00+00	demo	org.create	org:01a216af-a42c-7110-9ffc-75483ed4cc92	01a216af-a42c-7110-9ffc-75483ed4cc92	{"kind": "company"}
01a216af-a433-70a5-83d6-563da54a2ef1	2026-09-01 02:00:00+00	demo	org.create	org:01a216af-a432-71b3-95ac-4ecc4613b1b2	01a216af-a432-71b3-95ac-4ecc4613b1b2	{"kind": "government"}
01a216af-a43a-7449-801e-8e48140b1d59	2026-09-01 02:00:00+00	demo	department.create	department:01a216af-a436-7151-8cbd-3b510481dead	01a216af-a432-71b3-95ac-4ecc4613b1b2	{}
01a216af-a440-7397-991b-4331453d9b47	2026-09-01 02:00:00+00	demo	department.create	department:01a216af-a43b-71ac-983c-433294fa9249	01a216af-a432-71b3-95ac-4ecc4613b1b2	{}
01a216af-a443-7525-ad22-704b0eae24c6	2026-09-01 02:00:00+00	demo	department.create	department:01a216af-a441-75a7-b685-e8544c5ebae0	01a216af-a432-71b3-95ac-4ecc4613b1b2	{}
01a216af-a509-7412-9299-6d3f450fb6fc	2026-09-01 02:00:00+00	demo	person.create	person:01a216af-a4f8-7027-bde4-e7743394aec8	\N	{}
01a216af-a51a-713a-89fe-0e36408dc506	2026-09-01 02:00:00+00	demo	role.grant	person:01a216af-a4f8-7027-bde4-e7743394aec8	\N	{"role": "admin"}
01a216af-a525-7532-bcc8-a6bfa6477a84	2026-09-01 02:00:00+00	demo	member.set	person:01a216af-a4f8-7027-bde4-e7743394aec8	01a216af-a42c-7110-9ffc-75483ed4cc92	{"role": "owner"}
01a216af-a5c4-7116-82aa-2ee0471cc724	2026-09-01 02:00:00+00	demo	key.create	key:01a216af-a5be-729b-8869-ec816a1d9abb	01a216af-a42c-7110-9ffc-75483ed4cc92	{"prefix": "sk-sh-nlXN4m", "permissions": []}
01a216af-a5c6-735c-9edb-c10555750e5c	2026-09-01 02:00:00+00	recorder	org.create	org:01a216af-a5c5-70d5-9f06-1e8174dab4fe	01a216af-a5c5-70d5-9f06-1e8174dab4fe	{"kind": "company"}
01a216af-a5ce-70e6-b684-55db6cb68fc3	2026-09-01 02:00:00+00	recorder	org.edit	org:01a216af-a5c5-70d5-9f06-1e8174dab4fe	01a216af-a5c5-70d5-9f06-1e8174dab4fe	{"fields": ["local_verified"]}
01a216af-a5d0-74f2-a197-606e1a3250e5	2026-09-01 02:00:00+00	recorder	key.create	key:01a216af-a5cf-76dd-bfaf-2061edd594cc	01a216af-a5c5-70d5-9f06-1e8174dab4fe	{"prefix": "sk-sh-SVSEV1", "permissions": []}
01a216af-a5d6-75b9-8ce8-ac75e2b0948b	2026-09-01 02:00:00+00	recorder	org.create	org:01a216af-a5d5-709f-946b-5f9bce2e3f85	01a216af-a5d5-709f-946b-5f9bce2e3f85	{"kind": "company"}
01a216af-a5dc-7477-bfd2-63059f1ae9ee	2026-09-01 02:00:00+00	recorder	key.create	key:01a216af-a5d7-733b-8c91-784316be89a5	01a216af-a5d5-709f-946b-5f9bce2e3f85	{"prefix": "sk-sh-hhMjvo", "permissions": []}
\.


--
-- Data for Name: category; Type: TABLE DATA; Schema: identity; Owner: -
--

COPY identity.category (person_id, category, verified, valid_from, valid_to, decided_by, decided_at) FROM stdin;
\.


--
-- Data for Name: challenge; Type: TABLE DATA; Schema: identity; Owner: -
--

COPY identity.challenge (id, purpose, person_id, challenge, expires_at) FROM stdin;
\.


--
-- Data for Name: city_role; Type: TABLE DATA; Schema: identity; Owner: -
--

COPY identity.city_role (person_id, role, granted_by, granted_at) FROM stdin;
01a216af-a4f8-7027-bde4-e7743394aec8	admin	demo	2026-09-01 02:00:00+00
\.


--
-- Data for Name: consent; Type: TABLE DATA; Schema: identity; Owner: -
--

COPY identity.consent (id, person_id, purpose, basis, article, notice_version, given_at, withdrawn_at) FROM stdin;
\.


--
-- Data for Name: department; Type: TABLE DATA; Schema: identity; Owner: -
--

COPY identity.department (id, org_id, name, created_at) FROM stdin;
01a216af-a436-7151-8cbd-3b510481dead	01a216af-a432-71b3-95ac-4ecc4613b1b2	算力运营处 Compute	2026-09-01 02:00:00+00
01a216af-a43b-71ac-983c-433294fa9249	01a216af-a432-71b3-95ac-4ecc4613b1b2	财务结算处 Settlement	2026-09-01 02:00:00+00
01a216af-a441-75a7-b685-e8544c5ebae0	01a216af-a432-71b3-95ac-4ecc4613b1b2	规则审计处 Rules and Audit	2026-09-01 02:00:00+00
\.


--
-- Data for Name: leak; Type: TABLE DATA; Schema: identity; Owner: -
--

COPY identity.leak (id, key_id, reporter, note, frozen, trace, reported_at) FROM stdin;
\.


--
-- Data for Name: membership; Type: TABLE DATA; Schema: identity; Owner: -
--

COPY identity.membership (org_id, person_id, role, department_id, created_at) FROM stdin;
01a216af-a42c-7110-9ffc-75483ed4cc92	01a216af-a4f8-7027-bde4-e7743394aec8	owner	\N	2026-09-01 02:00:00+00
\.


--
-- Data for Name: oidc_flow; Type: TABLE DATA; Schema: identity; Owner: -
--

COPY identity.oidc_flow (state_sha256, nonce, verifier, return_path, expires_at) FROM stdin;
\.


--
-- Data for Name: oidc_subject; Type: TABLE DATA; Schema: identity; Owner: -
--

COPY identity.oidc_subject (subject_index, person_id, linked_at) FROM stdin;
\.


--
-- Data for Name: organisation; Type: TABLE DATA; Schema: identity; Owner: -
--

COPY identity.organisation (id, kind, name, person_id, registration, locally_registered, local_verified, data_company, cap_group, data_class, state, frozen_reason, frozen_at, created_at) FROM stdin;
01a216af-a42c-7110-9ffc-75483ed4cc92	company	山河演示开发 Shanhe Demo Developers	\N	\N	f	f	f	\N	general	active	\N	\N	2026-09-01 02:00:00+00
01a216af-a432-71b3-95ac-4ecc4613b1b2	government	山河市数据局 Shanhe Data Bureau	\N	\N	f	f	f	\N	general	active	\N	\N	2026-09-01 02:00:00+00
01a216af-a5c5-70d5-9f06-1e8174dab4fe	company	甲公司 Payer	\N	\N	t	t	f	\N	general	active	\N	\N	2026-09-01 02:00:00+00
01a216af-a5d5-709f-946b-5f9bce2e3f85	company	乙节点 Node	\N	\N	f	f	f	\N	general	active	\N	\N	2026-09-01 02:00:00+00
\.


--
-- Data for Name: passkey; Type: TABLE DATA; Schema: identity; Owner: -
--

COPY identity.passkey (id, person_id, credential_id, public_key, sign_count, transports, backed_up, name, created_at, used_at) FROM stdin;
\.


--
-- Data for Name: password; Type: TABLE DATA; Schema: identity; Owner: -
--

COPY identity.password (person_id, hash, set_at) FROM stdin;
01a216af-a4f8-7027-bde4-e7743394aec8	$argon2id$v=19$m=19456,t=3,p=1$QfDoq/lu3RXFdy8xsE8eUw$vFjNWIt8KOr23nk/ai1FoS3+FNts2QN8TGhwcf2wFXM	2026-09-01 02:00:00+00
\.


--
-- Data for Name: person; Type: TABLE DATA; Schema: identity; Owner: -
--

COPY identity.person (id, state, language, name_sealed, login_sealed, email_sealed, phone_sealed, login_index, email_index, phone_index, email_verified, cap_group, created_at, erased_at, key_destroyed_at) FROM stdin;
01a216af-a4f8-7027-bde4-e7743394aec8	active	zh-CN	\\x016737471fd3a30020d6b9280a79f594eda01991da34b99468368e5b1c8a8691682b7699a785847c60d12c63f2a0641a2afb066334a11d	\\x010be10cf8c6f911a6569971e3b47979b2b903c9e790ac9aef38622de7582424109a	\N	\N	\\x7a986cd8e97e5846fdff114a0698141562b49e7a58bac8747a3ef5fe66351054	\N	\N	f	\N	2026-09-01 02:00:00+00	\N	\N
\.


--
-- Data for Name: recovery_code; Type: TABLE DATA; Schema: identity; Owner: -
--

COPY identity.recovery_code (person_id, code_sha256, used_at) FROM stdin;
\.


--
-- Data for Name: session; Type: TABLE DATA; Schema: identity; Owner: -
--

COPY identity.session (id, token_sha256, person_id, org_id, stage, methods, device_sealed, created_at, seen_at, expires_at, revoked_at) FROM stdin;
\.


--
-- Data for Name: totp; Type: TABLE DATA; Schema: identity; Owner: -
--

COPY identity.totp (person_id, secret_sealed, confirmed_at, last_step) FROM stdin;
\.


--
-- Data for Name: dispatch; Type: TABLE DATA; Schema: kernel; Owner: -
--

COPY kernel.dispatch (notice_id, channel, state, attempts, due_at, error) FROM stdin;
\.


--
-- Data for Name: event; Type: TABLE DATA; Schema: kernel; Owner: -
--

COPY kernel.event (seq, id, topic, key, payload, created_at, state, attempts, due_at, done, error) FROM stdin;
\.


--
-- Data for Name: metric_snapshot; Type: TABLE DATA; Schema: kernel; Owner: -
--

COPY kernel.metric_snapshot (worker, taken_at, families) FROM stdin;
\.


--
-- Data for Name: migration; Type: TABLE DATA; Schema: kernel; Owner: -
--

COPY kernel.migration (ordinal, module, name, sha256, applied_at) FROM stdin;
1	kernel	events	25342ba979363c308f65af7fad1f621d3193e5be768032117405bf985d35c481	2026-09-01 02:00:00+00
10	ledger	ledger	cc345f8d565e6e5e66983193496cf5baa9d7f4a110c5381d1080507790c9d2c5	2026-09-01 02:00:00+00
11	ledger	holds	d93ac4864ac135da3f4688f069dee852fe493cf7e00eb3a1cfafb8044f7b2f0b	2026-09-01 02:00:00+00
12	ledger	postings	632f66d47621f14be90b22a4b71914243bd814b3574b292e9b26df8cd372dc25	2026-09-01 02:00:00+00
20	identity	identity	360a05533e668072d9ee0c84256512a9492290b2ad317359e3176a6985bd5d67	2026-09-01 02:00:00+00
30	rulebook	rulebook	eb85bcbda52beedcaba7fe0965555604e10d77bf42c17937ecb4d17eed6a7548	2026-09-01 02:00:00+00
40	compute	compute	679660546c2a3711bc4fb4dd333b8cc29baea4ad683103dc5d27c6f9930f4124	2026-09-01 02:00:00+00
50	payments	payments	a348a3ed89a534e2dbcb1b5ac3b45240c492ea99a42d311ef37fb0f96262f81d	2026-09-01 02:00:00+00
60	credits	credits	2c862d79e9a9451157d1b59142895631efb01db1df06f8bd5a8939b7db0165b8	2026-09-01 02:00:00+00
70	gateway	usage	f6b81cd5f41f3fce19be7e51f6f42e53916f875858e8cbbc7e6d1db36e297376	2026-09-01 02:00:00+00
\.


--
-- Data for Name: notice; Type: TABLE DATA; Schema: kernel; Owner: -
--

COPY kernel.notice (id, org_id, person_id, kind, severity, title_zh, title_en, body_zh, body_en, link, dedupe, created_at, expires_at) FROM stdin;
01a216af-a5b4-71a9-9588-64a1db1e187c	01a216af-a42c-7110-9ffc-75483ed4cc92	\N	top_up	info	充值到账 10,000.000000 积分	Top-up: 10,000.000000 credits arrived	实付 10,000.00 元，到账 10,000.000000 积分，其中补贴 0.000000。	You paid CNY 10,000.00 and received 10,000.000000 credits, 0.000000 of them subsidy.	/topup/01a216af-a52a-76aa-ba01-2b239bb6c7b9	credits/topup/01a216af-a52a-76aa-ba01-2b239bb6c7b9	2026-09-01 02:00:00+00	2027-02-28 02:00:00+00
01a216af-a666-74fb-8120-23a5e5548f26	01a216af-a5c5-70d5-9f06-1e8174dab4fe	\N	top_up	info	充值到账 2,000.000000 积分	Top-up: 2,000.000000 credits arrived	实付 1,400.00 元，到账 2,000.000000 积分，其中补贴 600.000000。	You paid CNY 1,400.00 and received 2,000.000000 credits, 600.000000 of them subsidy.	/topup/01a216af-a5ea-741a-a06b-9bae594e06b9	credits/topup/01a216af-a5ea-741a-a06b-9bae594e06b9	2026-09-01 02:00:00+00	2027-02-28 02:00:00+00
01a216af-a6d0-7512-bedc-12753339f3ab	01a216af-a5d5-709f-946b-5f9bce2e3f85	\N	top_up	info	充值到账 50.000000 积分	Top-up: 50.000000 credits arrived	实付 50.00 元，到账 50.000000 积分，其中补贴 0.000000。	You paid CNY 50.00 and received 50.000000 credits, 0.000000 of them subsidy.	/topup/01a216af-a6a4-7566-a821-6265773a3a42	credits/topup/01a216af-a6a4-7566-a821-6265773a3a42	2026-09-01 02:00:00+00	2027-02-28 02:00:00+00
\.


--
-- Data for Name: notice_read; Type: TABLE DATA; Schema: kernel; Owner: -
--

COPY kernel.notice_read (notice_id, person_id, read_at) FROM stdin;
\.


--
-- Data for Name: account; Type: TABLE DATA; Schema: ledger; Owner: -
--

COPY ledger.account (id, owner, asset, kind, name, floor, lots, balance, held, opened_at) FROM stdin;
01a216af-a554-732e-b965-52e6cac89d7c	00000000-0000-0000-0000-000000000000	credit	issuance		\N	f	0	0	2026-09-01 02:00:00+00
01a216af-a55d-767a-85ba-584c41e4153e	00000000-0000-0000-0000-000000000000	cny	cash	cash_desk	\N	f	0	0	2026-09-01 02:00:00+00
01a216af-a55e-7640-b30b-b271da04f887	00000000-0000-0000-0000-000000000000	cny	revenue	credits sold	\N	f	0	0	2026-09-01 02:00:00+00
01a216af-a54d-732c-8015-eadf8103f115	01a216af-a42c-7110-9ffc-75483ed4cc92	credit	wallet		0	t	10000000000	0	2026-09-01 02:00:00+00
01a216af-a558-7614-ae7e-3530948fe74a	01a216af-a42c-7110-9ffc-75483ed4cc92	cny	wallet		0	f	0	0	2026-09-01 02:00:00+00
01a216af-a654-76c6-94f5-5a8349bbdb03	00000000-0000-0000-0000-000000000000	cny	cash	sandbox	\N	f	0	0	2026-09-01 02:00:00+00
01a216af-a652-71a1-a944-3c574bf2e34c	01a216af-a5c5-70d5-9f06-1e8174dab4fe	cny	wallet		0	f	0	0	2026-09-01 02:00:00+00
01a216af-a6c2-760e-9aed-eea38d0f1667	00000000-0000-0000-0000-000000000000	cny	cash	bank_transfer	\N	f	0	0	2026-09-01 02:00:00+00
01a216af-a6b6-75eb-a507-d5d9f3e78a39	01a216af-a5d5-709f-946b-5f9bce2e3f85	cny	wallet		0	f	0	0	2026-09-01 02:00:00+00
01a216af-a6fd-71bd-9d5e-efe4492241d4	00000000-0000-0000-0000-000000000000	credit	opening		\N	f	0	0	2026-09-01 02:00:00+00
01a216af-a706-716c-bee0-2b5bf79fa88f	00000000-0000-0000-0000-000000000000	credit	platform		\N	f	0	0	2026-09-01 02:00:00+00
01a216af-a83f-7456-ae48-fa9e08934ba7	00000000-0000-0000-0000-000000000000	credit	breakage		\N	f	0	0	2026-09-04 02:00:00+00
01a216af-a6f1-73b5-a6f8-5f2ccbcbc135	01a216af-a5c5-70d5-9f06-1e8174dab4fe	credit	wallet	branch	0	t	11000000	0	2026-09-01 02:00:00+00
01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5c5-70d5-9f06-1e8174dab4fe	credit	wallet		0	t	2051749974	518595980	2026-09-01 02:00:00+00
01a216af-a5df-71c8-8ea7-4ad5aebb00a7	01a216af-a5d5-709f-946b-5f9bce2e3f85	credit	income		0	t	1682811	0	2026-09-01 02:00:00+00
01a216af-a5de-712c-b804-1ba44e8a033d	01a216af-a5d5-709f-946b-5f9bce2e3f85	credit	wallet		3000000	t	57000000	0	2026-09-01 02:00:00+00
\.


--
-- Data for Name: counter; Type: TABLE DATA; Schema: ledger; Owner: -
--

COPY ledger.counter (scope, name, win, used, touched) FROM stdin;
\.


--
-- Data for Name: hold; Type: TABLE DATA; Schema: ledger; Owner: -
--

COPY ledger.hold (id, account, amount, purpose, state, created_at, expires_at, lots, lot_amounts, captured, posting) FROM stdin;
dead2385-747a-5262-8353-b639d680c17b	01a216af-a5d4-77d9-be0b-a2922c48d286	9000000	escrow	open	2026-09-02 02:00:00+00	2027-03-21 02:00:00+00	{87f0dcb2-206a-5942-9ac0-2ff91b6d8db5,3953ebcd-0ed4-5c90-b589-07dc8540e708}	{3153994,5846006}	0	\N
653e569b-fb42-598c-8a9b-6f25098512c7	01a216af-a5d4-77d9-be0b-a2922c48d286	9000000	escrow	captured	2026-09-02 02:00:00+00	2027-03-21 02:00:00+00	{3953ebcd-0ed4-5c90-b589-07dc8540e708}	{9000000}	4000000	653e569b-fb42-598c-8a9b-6f25098512c7
7d955639-34d0-5652-9e6f-4eda9717442d	01a216af-a5d4-77d9-be0b-a2922c48d286	9000000	escrow	voided	2026-09-02 02:00:00+00	2027-03-21 02:00:00+00	{3953ebcd-0ed4-5c90-b589-07dc8540e708}	{9000000}	0	\N
7639f520-50e2-5000-884e-4a40dc081cd6	01a216af-a5d4-77d9-be0b-a2922c48d286	9000000	escrow	expired	2026-09-02 02:00:00+00	2026-09-03 02:00:00+00	{3953ebcd-0ed4-5c90-b589-07dc8540e708,01a216af-a5ea-741a-a06b-9bad6575cb5b}	{6153994,2846006}	0	\N
\.


--
-- Data for Name: lease; Type: TABLE DATA; Schema: ledger; Owner: -
--

COPY ledger.lease (epoch, account, worker, granted_at, expires_at) FROM stdin;
2	01a216af-a5d4-77d9-be0b-a2922c48d286	cli	2026-09-04 02:00:00+00	2026-09-04 02:00:30+00
\.


--
-- Data for Name: lease_lot; Type: TABLE DATA; Schema: ledger; Owner: -
--

COPY ledger.lease_lot (epoch, lot, amount) FROM stdin;
2	01a216af-a5ea-741a-a06b-9bad6575cb5b	491846006
2	3953ebcd-0ed4-5c90-b589-07dc8540e708	17749974
\.


--
-- Data for Name: lot; Type: TABLE DATA; Schema: ledger; Owner: -
--

COPY ledger.lot (id, account, provenance, parent, issued, remaining, held, issued_at, spendable_at, unlock_at, expires_at, earmark, unit_cost_fen, open) FROM stdin;
01a216af-a52a-76aa-ba01-2b25c66005f9	01a216af-a54d-732c-8015-eadf8103f115	purchased	\N	10000000000	10000000000	0	2026-09-01 02:00:00+00	\N	2026-11-30 16:00:00+00	\N	\N	100	t
01a216af-a5ea-741a-a06b-9bae6575cb5b	01a216af-a5d4-77d9-be0b-a2922c48d286	purchased	\N	1400000000	1400000000	0	2026-09-01 02:00:00+00	\N	2026-11-30 16:00:00+00	\N	\N	100	t
01a216af-a6a4-7566-a821-62671191eea9	01a216af-a5de-712c-b804-1ba44e8a033d	purchased	\N	50000000	50000000	0	2026-09-01 02:00:00+00	\N	2026-11-30 16:00:00+00	\N	\N	100	t
7d2f49d9-2f09-5ed4-9c7c-be8663e31e75	01a216af-a5d4-77d9-be0b-a2922c48d286	reward	\N	25000000	25000000	0	2026-09-01 02:00:00+00	\N	2026-12-01 02:00:00+00	2028-08-01 02:00:00+00	\N	\N	t
24cf7c2d-3bcd-5501-af28-278b21fe125a	01a216af-a5de-712c-b804-1ba44e8a033d	subsidy	\N	7000000	7000000	0	2026-09-01 02:00:00+00	\N	\N	2027-09-01 02:00:00+00	{"department": "data"}	\N	t
3589ed13-930a-5ddf-9400-ff0c74c6b31e	01a216af-a6f1-73b5-a6f8-5f2ccbcbc135	purchased	\N	11000000	11000000	0	2026-09-01 02:00:00+00	\N	\N	\N	\N	90	t
40404aac-d777-5c46-9b95-8d866f396376	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	subsidy	87f0dcb2-206a-5942-9ac0-2ff91b6d8db5	1404403	0	0	2026-09-01 02:00:00+00	2026-09-07 16:00:00+00	2026-11-30 16:00:00+00	2026-09-03 02:00:00+00	\N	\N	f
a121112d-0e0c-51ff-b677-5062b31aa2af	01a216af-a6f1-73b5-a6f8-5f2ccbcbc135	subsidy	\N	3000000	0	0	2026-09-01 02:00:00+00	\N	\N	2026-09-03 02:00:00+00	\N	\N	f
01a216af-a5ea-741a-a06b-9bad6575cb5b	01a216af-a5d4-77d9-be0b-a2922c48d286	subsidy	\N	600000000	600000000	491846006	2026-09-01 02:00:00+00	\N	\N	2027-08-31 16:00:00+00	\N	0	t
3953ebcd-0ed4-5c90-b589-07dc8540e708	01a216af-a5d4-77d9-be0b-a2922c48d286	subsidy	\N	30000000	23595980	23595980	2026-09-01 02:00:00+00	\N	\N	2026-12-30 02:00:00+00	\N	\N	t
87f0dcb2-206a-5942-9ac0-2ff91b6d8db5	01a216af-a5d4-77d9-be0b-a2922c48d286	subsidy	\N	5000000	3153994	3153994	2026-09-01 02:00:00+00	\N	\N	2026-09-03 02:00:00+00	\N	\N	t
868bb008-3965-5673-8b4d-9b8bd2d97c18	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	subsidy	3953ebcd-0ed4-5c90-b589-07dc8540e708	1682811	1682811	0	2026-09-04 02:00:00+00	2026-09-10 16:00:00+00	2026-12-03 16:00:00+00	2026-12-30 02:00:00+00	\N	\N	t
\.


--
-- Data for Name: period; Type: TABLE DATA; Schema: ledger; Owner: -
--

COPY ledger.period (closed_through, closed_at, actor) FROM stdin;
2026-09-01	2026-09-04 02:00:00+00	recorder
\.


--
-- Data for Name: period_balance; Type: TABLE DATA; Schema: ledger; Owner: -
--

COPY ledger.period_balance (closed_through, account, balance) FROM stdin;
2026-09-01	01a216af-a6f1-73b5-a6f8-5f2ccbcbc135	14000000
2026-09-01	01a216af-a652-71a1-a944-3c574bf2e34c	0
2026-09-01	01a216af-a6fd-71bd-9d5e-efe4492241d4	-11000000
2026-09-01	01a216af-a6c2-760e-9aed-eea38d0f1667	-5000
2026-09-01	01a216af-a54d-732c-8015-eadf8103f115	10000000000
2026-09-01	01a216af-a55d-767a-85ba-584c41e4153e	-1000000
2026-09-01	01a216af-a5de-712c-b804-1ba44e8a033d	57000000
2026-09-01	01a216af-a654-76c6-94f5-5a8349bbdb03	-140000
2026-09-01	01a216af-a706-716c-bee0-2b5bf79fa88f	601889
2026-09-01	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	1404403
2026-09-01	01a216af-a5d4-77d9-be0b-a2922c48d286	2057993708
2026-09-01	01a216af-a55e-7640-b30b-b271da04f887	1145000
2026-09-01	01a216af-a554-732e-b965-52e6cac89d7c	-12120000000
2026-09-01	01a216af-a6b6-75eb-a507-d5d9f3e78a39	0
2026-09-01	01a216af-a558-7614-ae7e-3530948fe74a	0
\.


--
-- Data for Name: posting; Type: TABLE DATA; Schema: ledger; Owner: -
--

COPY ledger.posting (id, at, day, kind, actor, memo, reverses, evidence, lots, lot_deltas) FROM stdin;
01a216af-a52a-76aa-ba01-2b24c66005f9	2026-09-01 02:00:00+00	2026-09-01	top_up	demo	Operator top-up, paid by cash desk 现金柜台, booked by hand: demo city	\N	\\x7b2262656e6566696369617279223a2230316132313661662d613432632d373131302d396666632d373534383365643463633932222c2262656e656669745f66656e223a302c2263617465676f7279223a226e6f6e65222c226c6973745f70726963655f66656e223a3130302c226c6f745f72756c6573223a7b22433131223a2230383330623364643162633866343366653764373465316261323661653064336438653330646463316131326530303161646139326163343265656463666432222c224336223a2237396133643132623539306131323739386535663863366362313631633063386563323936373832343161633663333838636632306266633932353233333036227d2c226d6574686f64223a22636173685f6465736b222c226f726465725f6964223a6e756c6c2c22706169645f6174223a22323032362d30392d30315430323a30303a30305a222c22706169645f66656e223a313030303030302c2270757263686173655f6964223a2230316132313661662d613532612d373661612d626130312d326232333962623663376239222c227075726368617365645f6d6963726f223a31303030303030303030302c22726561736f6e223a2264656d6f2063697479222c2272756c655f76657273696f6e223a226c697374222c22736f75726365223a226f70657261746f72222c22737562736964795f6d6963726f223a302c227472616365223a7b22616d6f756e745f6d6963726f223a31303030303030303030302c226c6973745f70726963655f66656e223a3130302c226d6574686f64223a22616d6f756e7420c397206c6973742070726963652c2068616c662d6576656e20746f207468652066656e3b206e6f20646973636f756e74222c22706169645f66656e223a313030303030307d2c2276616c75655f66656e223a313030303030302c2276657273696f6e223a312c2279656172223a323032367d	{01a216af-a52a-76aa-ba01-2b25c66005f9}	{10000000000}
01a216af-a5ea-741a-a06b-9baf6575cb5b	2026-09-01 02:00:00+00	2026-09-01	purchase	recorder	Purchase of credits, paid through sandbox	\N	\\x7b2262656e6566696369617279223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c2262656e656669745f66656e223a36303030302c2263617465676f7279223a226c6f63616c5f636f6d70616e79222c226c6973745f70726963655f66656e223a3130302c226c6f745f72756c6573223a7b22433131223a2230383330623364643162633866343366653764373465316261323661653064336438653330646463316131326530303161646139326163343265656463666432222c224336223a2237396133643132623539306131323739386535663863366362313631633063386563323936373832343161633663333838636632306266633932353233333036227d2c226d6574686f64223a2273616e64626f78222c226f726465725f6964223a2230316132313661662d613565612d373431612d613036622d396261653539346530366239222c22706169645f6174223a22323032362d30392d30315430323a30303a30305a222c22706169645f66656e223a3134303030302c2270757263686173655f6964223a2230316132313661662d613565612d373431612d613036622d396261653539346530366239222c227075726368617365645f6d6963726f223a313430303030303030302c22726561736f6e223a22222c2272756c655f76657273696f6e223a2235316231336637306262393164376334653165663035333363343939376265626337666462346535383362353231653233643130306465363361396164353933222c22736f75726365223a227061796572222c22737562736964795f6d6963726f223a3630303030303030302c227472616365223a7b22616c7465726e617469766573223a5b7b2266616374223a2263617465676f7279222c2266726f6d223a226c6f63616c5f636f6d70616e79222c226f757470757473223a7b2262656e656669745f66656e223a302c22706169645f66656e223a3230303030302c227075726368617365645f6d6963726f223a323030303030303030302c227175616e746974795f6d6963726f223a323030303030303030302c22737562736964795f6d6963726f223a307d2c2274657874223a7b22656e223a225769746820e2809c43617465676f7279206f6620746865206275796572e2809d206e6f6e653a2042656e6566697420c2a5302e30302c205061696420c2a5322c3030302e30302c2053756273696479206c6f7420302e3030303030302c20507572636861736564206c6f7420322c3030302e303030303030222c227a68223a22e88ba5e8b4ade4b9b0e4babae7b1bbe588abe4b8ba206e6f6e65efbc9ae4bc98e683a0e98791e9a29d20c2a5302e3030efbc8ce5ae9ee4bb98e98791e9a29d20c2a5322c3030302e3030efbc8ce8a1a5e8b4b4e689b9e6aca120302e303030303030efbc8ce887aae8b4ade689b9e6aca120322c3030302e303030303030227d2c22746f223a226e6f6e65227d5d2c22616d656e646d656e74223a6e756c6c2c22616d6f756e74223a2262656e656669745f66656e222c2261727469636c65223a22e59b9bc2b7312e33222c2262696e64696e67223a5b7b226f70223a226d696e222c22736c61636b223a223939393430303030222c2274657874223a7b22656e223a2242656e6566697420627920726174652028c2a53630302e30302920e289a420436170206c656674207468697320796561722028c2a5312c3030302c3030302e3030292c20736f2074686520736d616c6c657220636f756e7473222c227a68223a22e68c89e4bc98e683a0e78e87e8aea1e7ae97e79a84e4bc98e683a0efbc88c2a53630302e3030efbc8920e289a420e69cace5b9b4e589a9e4bd99e9a29de5baa6efbc88c2a5312c3030302c3030302e3030efbc89efbc8ce69585e58f96e8be83e5b08fe79a8420e68c89e4bc98e683a0e78e87e8aea1e7ae97e79a84e4bc98e683a0efbc88c2a53630302e3030efbc89227d7d2c7b226f70223a226d6178222c22736c61636b223a22313030303030303030222c2274657874223a7b22656e223a22c2a5312c3030302c3030302e303020e289a520c2a5302e30302c20736f20746865206c617267657220636f756e7473222c227a68223a22c2a5312c3030302c3030302e303020e289a520c2a5302e3030efbc8ce69585e58f96e8be83e5a4a7e79a8420c2a5312c3030302c3030302e3030227d7d5d2c226465706172746d656e74223a7b22656e223a224469676974616c206f66666963652028706c6174666f726d206f7065726174696f6e7329222c227a68223a22e5b882e695b0e5ad97e58a9eefbc88e5b9b3e58fb0e8bf90e890a5e5a484efbc89227d2c226576656e74223a7b226e616d65223a227075726368617365645f6f6e222c227469746c65223a7b22656e223a22646179206f66207075726368617365222c227a68223a22e8b4ade4b9b0e697a5227d7d2c22696e70757473223a5b7b22646973706c6179223a226c6f63616c5f636f6d70616e79222c226e616d65223a2263617465676f7279222c227469746c65223a7b22656e223a2243617465676f7279206f6620746865206275796572222c227a68223a22e8b4ade4b9b0e4babae7b1bbe588ab227d2c2274797065223a22656e756d222c22756e6974223a22222c2276616c7565223a226c6f63616c5f636f6d70616e79227d2c7b22646973706c6179223a22c2a5322c3030302e3030222c226e616d65223a2276616c75655f66656e222c227469746c65223a7b22656e223a225075726368617365206174206c697374207072696365222c227a68223a22e68c89e6a087e4bbb7e8aea1e79a84e8b4ade4b9b0e9a29d227d2c2274797065223a226e756d626572222c22756e6974223a2266656e222c2276616c7565223a3230303030307d2c7b22646973706c6179223a22c2a5302e3030222c226e616d65223a2262656e656669745f757365645f66656e222c227469746c65223a7b22656e223a2242656e6566697420616c726561647920676976656e20746869732063616c656e6461722079656172222c227a68223a22e69cace5b9b4e5b7b2e4baabe58f97e79a84e4bc98e683a0227d2c2274797065223a226e756d626572222c22756e6974223a2266656e222c2276616c7565223a307d5d2c226b6e6f776e223a6e756c6c2c226e656172657374223a5b7b2266616374223a2276616c75655f66656e222c2266726f6d223a3230303030302c226f757470757473223a7b2262656e656669745f66656e223a3130303030303030302c22706169645f66656e223a3233333333333333342c227075726368617365645f6d6963726f223a323333333333333334303030302c227175616e746974795f6d6963726f223a333333333333333334303030302c22737562736964795f6d6963726f223a313030303030303030303030307d2c2274657874223a7b22656e223a225769746820c2a5332c3333312c3333332e3334206d6f726520e2809c5075726368617365206174206c697374207072696365e2809d2028c2a5332c3333332c3333332e3334293a2042656e6566697420c2a5312c3030302c3030302e30302c205061696420c2a5322c3333332c3333332e33342c204372656469747320626f7567687420332c3333332c3333332e3334303030302c2053756273696479206c6f7420312c3030302c3030302e3030303030302c20507572636861736564206c6f7420322c3333332c3333332e333430303030222c227a68223a22e88ba5e68c89e6a087e4bbb7e8aea1e79a84e8b4ade4b9b0e9a29de5a29ee58aa020c2a5332c3333312c3333332e3334efbc88e887b320c2a5332c3333332c3333332e3334efbc89efbc9ae4bc98e683a0e98791e9a29d20c2a5312c3030302c3030302e3030efbc8ce5ae9ee4bb98e98791e9a29d20c2a5322c3333332c3333332e3334efbc8ce8b4ade5be97e7a7afe5888620332c3333332c3333332e333430303030efbc8ce8a1a5e8b4b4e689b9e6aca120312c3030302c3030302e303030303030efbc8ce887aae8b4ade689b9e6aca120322c3333332c3333332e333430303030227d2c22746f223a3333333333333333347d2c7b2266616374223a2262656e656669745f757365645f66656e222c2266726f6d223a302c226f757470757473223a7b2262656e656669745f66656e223a35393939392c22706169645f66656e223a3134303030312c227075726368617365645f6d6963726f223a313430303031303030302c227175616e746974795f6d6963726f223a323030303030303030302c22737562736964795f6d6963726f223a3539393939303030307d2c2274657874223a7b22656e223a225769746820c2a53939392c3430302e3031206d6f726520e2809c42656e6566697420616c726561647920676976656e20746869732063616c656e6461722079656172e2809d2028c2a53939392c3430302e3031293a2042656e6566697420c2a53539392e39392c205061696420c2a5312c3430302e30312c2053756273696479206c6f74203539392e3939303030302c20507572636861736564206c6f7420312c3430302e303130303030222c227a68223a22e88ba5e69cace5b9b4e5b7b2e4baabe58f97e79a84e4bc98e683a0e5a29ee58aa020c2a53939392c3430302e3031efbc88e887b320c2a53939392c3430302e3031efbc89efbc9ae4bc98e683a0e98791e9a29d20c2a53539392e3939efbc8ce5ae9ee4bb98e98791e9a29d20c2a5312c3430302e3031efbc8ce8a1a5e8b4b4e689b9e6aca1203539392e393930303030efbc8ce887aae8b4ade689b9e6aca120312c3430302e303130303030227d2c22746f223a39393934303030317d5d2c226f6e223a22323032362d30392d3031222c226f757470757473223a5b7b2261726974686d65746963223a226d696e2836303030302c2031303030303030303029222c22646973706c6179223a22c2a53630302e3030222c226578616374223a223630303030222c2265787072657373696f6e223a226d696e2862795f726174652c206c65667429222c226e616d65223a2262656e656669745f66656e222c22726f756e646564223a66616c73652c22726f756e64696e67223a2268616c665f6576656e222c22726f756e64696e675f7469746c65223a7b22656e223a2268616c6620746f206576656e222c227a68223a22e59b9be8888de585ade585a5e4ba94e68890e58f8c227d2c227465737473223a5b5d2c227469746c65223a7b22656e223a2242656e65666974222c227a68223a22e4bc98e683a0e98791e9a29d227d2c22756e6974223a2266656e222c2276616c7565223a36303030307d2c7b2261726974686d65746963223a22323030303030202d203630303030222c22646973706c6179223a22c2a5312c3430302e3030222c226578616374223a22313430303030222c2265787072657373696f6e223a2276616c75655f66656e202d2062656e656669745f66656e222c226e616d65223a22706169645f66656e222c22726f756e646564223a66616c73652c22726f756e64696e67223a2268616c665f6576656e222c22726f756e64696e675f7469746c65223a7b22656e223a2268616c6620746f206576656e222c227a68223a22e59b9be8888de585ade585a5e4ba94e68890e58f8c227d2c227465737473223a5b5d2c227469746c65223a7b22656e223a2250616964222c227a68223a22e5ae9ee4bb98e98791e9a29d227d2c22756e6974223a2266656e222c2276616c7565223a3134303030307d2c7b2261726974686d65746963223a22323030303030202f2028312f313030303029222c22646973706c6179223a22322c3030302e303030303030222c226578616374223a2232303030303030303030222c2265787072657373696f6e223a2276616c75655f66656e202f206c6973745f70726963655f66656e222c226e616d65223a227175616e746974795f6d6963726f222c22726f756e646564223a66616c73652c22726f756e64696e67223a2268616c665f6576656e222c22726f756e64696e675f7469746c65223a7b22656e223a2268616c6620746f206576656e222c227a68223a22e59b9be8888de585ade585a5e4ba94e68890e58f8c227d2c227465737473223a5b5d2c227469746c65223a7b22656e223a224372656469747320626f75676874222c227a68223a22e8b4ade5be97e7a7afe58886227d2c22756e6974223a226d6963726f222c2276616c7565223a323030303030303030307d2c7b2261726974686d65746963223a223630303030202f2028312f313030303029222c22646973706c6179223a223630302e303030303030222c226578616374223a22363030303030303030222c2265787072657373696f6e223a2262656e656669745f66656e202f206c6973745f70726963655f66656e222c226e616d65223a22737562736964795f6d6963726f222c22726f756e646564223a66616c73652c22726f756e64696e67223a22666c6f6f72222c22726f756e64696e675f7469746c65223a7b22656e223a22646f776e222c227a68223a22e59091e4b88be58f96e695b4227d2c227465737473223a5b5d2c227469746c65223a7b22656e223a2253756273696479206c6f74222c227a68223a22e8a1a5e8b4b4e689b9e6aca1227d2c22756e6974223a226d6963726f222c2276616c7565223a3630303030303030307d2c7b2261726974686d65746963223a2232303030303030303030202d20363030303030303030222c22646973706c6179223a22312c3430302e303030303030222c226578616374223a2231343030303030303030222c2265787072657373696f6e223a227175616e746974795f6d6963726f202d20737562736964795f6d6963726f222c226e616d65223a227075726368617365645f6d6963726f222c22726f756e646564223a66616c73652c22726f756e64696e67223a2268616c665f6576656e222c22726f756e64696e675f7469746c65223a7b22656e223a2268616c6620746f206576656e222c227a68223a22e59b9be8888de585ade585a5e4ba94e68890e58f8c227d2c227465737473223a5b5d2c227469746c65223a7b22656e223a22507572636861736564206c6f74222c227a68223a22e887aae8b4ade689b9e6aca1227d2c22756e6974223a226d6963726f222c2276616c7565223a313430303030303030307d5d2c22706172616d6574657273223a5b7b22616d656e646d656e74223a6e756c6c2c22616e6e6f756e636564223a22323032342d31322d3031222c2261727469636c65223a22e59b9bc2b7312e33222c22646973706c6179223a22333025222c2266726f6d223a22323032352d30312d3031222c226e616d65223a22646973636f756e74222c226f726967696e223a22676976656e222c22726561736f6e223a6e756c6c2c227469746c65223a7b22656e223a22446973636f756e74222c227a68223a22e4bc98e683a0e78e87227d2c22756e6974223a22627073222c2276616c7565223a333030307d2c7b22616d656e646d656e74223a6e756c6c2c22616e6e6f756e636564223a22323032342d31322d3031222c2261727469636c65223a22e59b9bc2b7312e33222c22646973706c6179223a22c2a5312c3030302c3030302e3030222c2266726f6d223a22323032352d30312d3031222c226e616d65223a226361705f66656e222c226f726967696e223a22676976656e222c22726561736f6e223a6e756c6c2c227469746c65223a7b22656e223a22436170206f66207468652062656e656669742070657220706572736f6e20616e642063616c656e6461722079656172222c227a68223a22e6af8fe4babae6af8fe4b8aae585ace58e86e5b9b4e79a84e4bc98e683a0e4b88ae99990227d2c22756e6974223a2266656e222c2276616c7565223a3130303030303030307d2c7b22616d656e646d656e74223a6e756c6c2c22616e6e6f756e636564223a22323032342d31322d3031222c2261727469636c65223a22e59b9bc2b7312e33222c22646973706c6179223a22313030222c2266726f6d223a22323032352d30312d3031222c226e616d65223a226c6973745f70726963655f66656e222c226f726967696e223a22617373756d6564222c22726561736f6e223a7b22656e223a2254686520736f75726365206e616d6573206e6f2070726963653b20746865206d6f64656c20697320756e6b6e6f776e2061742070757263686173652c20736f20746865206c697374207072696365207374616e647320666f7220746865206d61726b6574222c227a68223a22e58e9fe69687e69caae5ae9ae7a7afe58886e58d95e4bbb7efbc9be8b4ade4b9b0e697b6e5b09ae4b88de79fa5e794a8e593aae4b8aae6a8a1e59e8befbc8ce69585e4bba5e6a087e4bbb7e4bba3e2809ce5b882e59cbae4bbb7e2809d227d2c227469746c65223a7b22656e223a224c697374207072696365206f66206120637265646974222c227a68223a22e7a7afe58886e6a087e4bbb7227d2c22756e6974223a2266656e5f7065725f637265646974222c2276616c7565223a3130307d2c7b22616d656e646d656e74223a6e756c6c2c22616e6e6f756e636564223a22323032342d31322d3031222c2261727469636c65223a22e59b9bc2b7312e33222c22646973706c6179223a226c6f63616c5f636f6d70616e792c206c6f63616c5f646174615f636f6d70616e792c207265736964656e742c206173736f6369617465645f636974795f7265736964656e742c206c6f63616c5f776f726b65722c206e6f6d6164222c2266726f6d223a22323032352d30312d3031222c226e616d65223a22656c696769626c65222c226f726967696e223a22676976656e222c22726561736f6e223a6e756c6c2c227469746c65223a7b22656e223a2243617465676f7269657320656e7469746c6564222c227a68223a22e4baabe58f97e4bc98e683a0e79a84e7b1bbe588ab227d2c22756e6974223a22656e756d222c2276616c7565223a5b226c6f63616c5f636f6d70616e79222c226c6f63616c5f646174615f636f6d70616e79222c227265736964656e74222c226173736f6369617465645f636974795f7265736964656e74222c226c6f63616c5f776f726b6572222c226e6f6d6164225d7d5d2c2272756c65223a2250315f7265736964656e745f646973636f756e74222c2272756c655f68617368223a2264343833313338656634326465653431363732303136333639623339363938643536326562313562313830396536353063356135383465373634623436653933222c227374657073223a5b7b2261726974686d65746963223a22332f3130222c22646973706c6179223a22302e33222c226578616374223a22332f3130222c2265787072657373696f6e223a22646973636f756e742069662063617465676f727920696e20656c696769626c6520656c73652030222c226e616d65223a2272617465222c227465737473223a5b7b22686f6c6473223a747275652c2274657374223a22276c6f63616c5f636f6d70616e792720696e205b276c6f63616c5f636f6d70616e79272c20276c6f63616c5f646174615f636f6d70616e79272c20277265736964656e74272c20276173736f6369617465645f636974795f7265736964656e74272c20276c6f63616c5f776f726b6572272c20276e6f6d6164275d227d5d2c227469746c65223a7b22656e223a22526174652074686174206170706c696573222c227a68223a22e98082e794a8e4bc98e683a0e78e87227d2c22756e6974223a22227d2c7b2261726974686d65746963223a22323030303030202a2028332f313029222c22646973706c6179223a22c2a53630302e3030222c226578616374223a223630303030222c2265787072657373696f6e223a2276616c75655f66656e202a2072617465222c226e616d65223a2262795f72617465222c227465737473223a5b5d2c227469746c65223a7b22656e223a2242656e656669742062792072617465222c227a68223a22e68c89e4bc98e683a0e78e87e8aea1e7ae97e79a84e4bc98e683a0227d2c22756e6974223a2266656e227d2c7b2261726974686d65746963223a226d61782828313030303030303030202d2030292c203029222c22646973706c6179223a22c2a5312c3030302c3030302e3030222c226578616374223a22313030303030303030222c2265787072657373696f6e223a226d6178286361705f66656e202d2062656e656669745f757365645f66656e2c203029222c226e616d65223a226c656674222c227465737473223a5b5d2c227469746c65223a7b22656e223a22436170206c65667420746869732079656172222c227a68223a22e69cace5b9b4e589a9e4bd99e9a29de5baa6227d2c22756e6974223a2266656e227d5d2c227469746c65223a7b22656e223a225265736964656e7420646973636f756e74222c227a68223a22e69cace59cb0e4b8bbe4bd93e4bc98e683a0e8b4ade4b9b0227d2c2274726163655f76657273696f6e223a312c2276657273696f6e223a2235316231336637306262393164376334653165663035333363343939376265626337666462346535383362353231653233643130306465363361396164353933227d2c2276616c75655f66656e223a3230303030302c2276657273696f6e223a312c2279656172223a323032367d	{01a216af-a5ea-741a-a06b-9bae6575cb5b,01a216af-a5ea-741a-a06b-9bad6575cb5b}	{1400000000,600000000}
01a216af-a6a4-7566-a821-62661191eea9	2026-09-01 02:00:00+00	2026-09-01	top_up	recorder	Operator top-up, paid by bank transfer 银行转账, booked by hand: cash desk	\N	\\x7b2262656e6566696369617279223a2230316132313661662d613564352d373039662d393436622d356639626365326533663835222c2262656e656669745f66656e223a302c2263617465676f7279223a226e6f6e65222c226c6973745f70726963655f66656e223a3130302c226c6f745f72756c6573223a7b22433131223a2230383330623364643162633866343366653764373465316261323661653064336438653330646463316131326530303161646139326163343265656463666432222c224336223a2237396133643132623539306131323739386535663863366362313631633063386563323936373832343161633663333838636632306266633932353233333036227d2c226d6574686f64223a2262616e6b5f7472616e73666572222c226f726465725f6964223a6e756c6c2c22706169645f6174223a22323032362d30392d30315430323a30303a30305a222c22706169645f66656e223a353030302c2270757263686173655f6964223a2230316132313661662d613661342d373536362d613832312d363236353737336133613432222c227075726368617365645f6d6963726f223a35303030303030302c22726561736f6e223a2263617368206465736b222c2272756c655f76657273696f6e223a226c697374222c22736f75726365223a226f70657261746f72222c22737562736964795f6d6963726f223a302c227472616365223a7b22616d6f756e745f6d6963726f223a35303030303030302c226c6973745f70726963655f66656e223a3130302c226d6574686f64223a22616d6f756e7420c397206c6973742070726963652c2068616c662d6576656e20746f207468652066656e3b206e6f20646973636f756e74222c22706169645f66656e223a353030307d2c2276616c75655f66656e223a353030302c2276657273696f6e223a312c2279656172223a323032367d	{01a216af-a6a4-7566-a821-62671191eea9}	{50000000}
3953ebcd-0ed4-5c90-b589-07dd8540e708	2026-09-01 02:00:00+00	2026-09-01	grant	recorder	subsidy 试点	\N	\N	{3953ebcd-0ed4-5c90-b589-07dc8540e708}	{30000000}
7d2f49d9-2f09-5ed4-9c7c-be8763e31e75	2026-09-01 02:00:00+00	2026-09-01	grant	recorder	reward 奖励	\N	\N	{7d2f49d9-2f09-5ed4-9c7c-be8663e31e75}	{25000000}
87f0dcb2-206a-5942-9ac0-2ff81b6d8db5	2026-09-01 02:00:00+00	2026-09-01	grant	recorder	short 短期	\N	\N	{87f0dcb2-206a-5942-9ac0-2ff91b6d8db5}	{5000000}
24cf7c2d-3bcd-5501-af28-278a21fe125a	2026-09-01 02:00:00+00	2026-09-01	grant	recorder	marked 专项	\N	\N	{24cf7c2d-3bcd-5501-af28-278b21fe125a}	{7000000}
3589ed13-930a-5ddf-9400-ff0d74c6b31e	2026-09-01 02:00:00+00	2026-09-01	opening	recorder		\N	\N	{3589ed13-930a-5ddf-9400-ff0c74c6b31e}	{11000000}
a121112d-0e0c-51ff-b677-5063b31aa2af	2026-09-01 02:00:00+00	2026-09-01	grant	recorder	forgotten 未用	\N	\N	{a121112d-0e0c-51ff-b677-5062b31aa2af}	{3000000}
d250d8e2-0fb3-5c76-a44b-2181dc61566a	2026-09-01 02:00:00+00	2026-09-01	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a747275652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a34303030302c226361636865645f696e707574223a302c226f7574707574223a393030302c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3135323030302c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3130363430307d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a34353630307d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{87f0dcb2-206a-5942-9ac0-2ff91b6d8db5,40404aac-d777-5c46-9b95-8d866f396376}	{-152000,106400}
f2c8b734-87e4-5be5-8f07-e481d2ac52c9	2026-09-01 02:00:00+00	2026-09-01	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a66616c73652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a34303937372c226361636865645f696e707574223a302c226f7574707574223a393130312c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3135343736322c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3130383333337d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a34363432397d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{87f0dcb2-206a-5942-9ac0-2ff91b6d8db5,40404aac-d777-5c46-9b95-8d866f396376}	{-154762,108333}
5d92faf8-b557-5f2a-a8ee-686f05b24999	2026-09-01 02:00:00+00	2026-09-01	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a747275652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a34313935342c226361636865645f696e707574223a302c226f7574707574223a393230322c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3135373532342c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3131303236377d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a34373235377d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{87f0dcb2-206a-5942-9ac0-2ff91b6d8db5,40404aac-d777-5c46-9b95-8d866f396376}	{-157524,110267}
38b69c75-5efb-53b3-9c52-1657fd004e40	2026-09-01 02:00:00+00	2026-09-01	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a66616c73652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a34323933312c226361636865645f696e707574223a302c226f7574707574223a393330332c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3136303238362c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3131323230307d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a34383038367d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{87f0dcb2-206a-5942-9ac0-2ff91b6d8db5,40404aac-d777-5c46-9b95-8d866f396376}	{-160286,112200}
01a216af-a7e4-7641-ad93-c138cf14bdb1	2026-09-02 02:00:00+00	2026-09-02	reversal	recorder	wrong 计费有误	38b69c75-5efb-53b3-9c52-1657fd004e40	\N	{87f0dcb2-206a-5942-9ac0-2ff91b6d8db5,40404aac-d777-5c46-9b95-8d866f396376}	{160286,-112200}
01a216af-a845-734f-9563-9efe4974f673	2026-09-04 02:00:00+00	2026-09-04	expiry	system	Credits expired · 积分到期	\N	\N	{40404aac-d777-5c46-9b95-8d866f396376}	{-1292203}
01a216af-a84a-70c7-99b4-abe3eba6b4f8	2026-09-04 02:00:00+00	2026-09-04	expiry	system	Credits expired · 积分到期	\N	\N	{a121112d-0e0c-51ff-b677-5062b31aa2af}	{-3000000}
4aef95a8-a839-5761-98e2-43ce5093999d	2026-09-01 02:00:00+00	2026-09-01	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a747275652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a34333930382c226361636865645f696e707574223a302c226f7574707574223a393430342c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3136333034382c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3131343133347d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a34383931347d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{87f0dcb2-206a-5942-9ac0-2ff91b6d8db5,40404aac-d777-5c46-9b95-8d866f396376}	{-163048,114134}
2a6aa422-a2a2-5008-9d10-d7e374fd82fc	2026-09-01 02:00:00+00	2026-09-01	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a66616c73652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a34343838352c226361636865645f696e707574223a302c226f7574707574223a393530352c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3136353831302c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3131363036377d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a34393734337d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{87f0dcb2-206a-5942-9ac0-2ff91b6d8db5,40404aac-d777-5c46-9b95-8d866f396376}	{-165810,116067}
e42141af-8855-581d-a251-71e4cbc8bb87	2026-09-01 02:00:00+00	2026-09-01	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a747275652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a34353836322c226361636865645f696e707574223a302c226f7574707574223a393630362c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3136383537322c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3131383030307d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a35303537327d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{87f0dcb2-206a-5942-9ac0-2ff91b6d8db5,40404aac-d777-5c46-9b95-8d866f396376}	{-168572,118000}
20ee820e-d2ac-50ed-b0d2-62e97d394407	2026-09-01 02:00:00+00	2026-09-01	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a66616c73652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a34363833392c226361636865645f696e707574223a302c226f7574707574223a393730372c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3137313333342c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3131393933347d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a35313430307d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{87f0dcb2-206a-5942-9ac0-2ff91b6d8db5,40404aac-d777-5c46-9b95-8d866f396376}	{-171334,119934}
cbbe515b-2c16-5fb8-94f5-211bdf3facaa	2026-09-01 02:00:00+00	2026-09-01	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a747275652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a34373831362c226361636865645f696e707574223a302c226f7574707574223a393830382c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3137343039362c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3132313836377d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a35323232397d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{87f0dcb2-206a-5942-9ac0-2ff91b6d8db5,40404aac-d777-5c46-9b95-8d866f396376}	{-174096,121867}
6d24f152-205c-5b5e-8388-3be95a9b3d56	2026-09-01 02:00:00+00	2026-09-01	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a66616c73652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a34383739332c226361636865645f696e707574223a302c226f7574707574223a393930392c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3137363835382c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3132333830307d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a35333035387d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{87f0dcb2-206a-5942-9ac0-2ff91b6d8db5,40404aac-d777-5c46-9b95-8d866f396376}	{-176858,123800}
94ab5c0e-c401-5e34-ae83-23b0cf17e58c	2026-09-01 02:00:00+00	2026-09-01	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a747275652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a34393737302c226361636865645f696e707574223a302c226f7574707574223a31303031302c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3137393632302c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3132353733347d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a35333838367d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{87f0dcb2-206a-5942-9ac0-2ff91b6d8db5,40404aac-d777-5c46-9b95-8d866f396376}	{-179620,125734}
30ee3a4b-912e-5164-a621-338ffb3c2a5d	2026-09-01 02:00:00+00	2026-09-01	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a66616c73652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a35303734372c226361636865645f696e707574223a302c226f7574707574223a31303131312c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3138323338322c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3132373636377d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a35343731357d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{87f0dcb2-206a-5942-9ac0-2ff91b6d8db5,40404aac-d777-5c46-9b95-8d866f396376}	{-182382,127667}
653e569b-fb42-598c-8a9b-6f25098512c7	2026-09-02 02:00:00+00	2026-09-02	capture	recorder		\N	\N	{3953ebcd-0ed4-5c90-b589-07dc8540e708}	{-4000000}
08483d84-be18-5301-bc68-e0971d4c4356	2026-09-04 02:00:00+00	2026-09-04	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a747275652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a35313732342c226361636865645f696e707574223a302c226f7574707574223a31303231322c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3138353134342c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3132393630307d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a35353534347d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{3953ebcd-0ed4-5c90-b589-07dc8540e708,868bb008-3965-5673-8b4d-9b8bd2d97c18}	{-185144,129600}
98eef98a-dfff-58b2-871d-eba27599b59a	2026-09-04 02:00:00+00	2026-09-04	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a66616c73652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a35323730312c226361636865645f696e707574223a302c226f7574707574223a31303331332c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3138373930362c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3133313533347d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a35363337327d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{3953ebcd-0ed4-5c90-b589-07dc8540e708,868bb008-3965-5673-8b4d-9b8bd2d97c18}	{-187906,131534}
d5c80462-d839-5014-aa02-67d7df6ad6b6	2026-09-04 02:00:00+00	2026-09-04	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a747275652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a35333637382c226361636865645f696e707574223a302c226f7574707574223a31303431342c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3139303636382c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3133333436377d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a35373230317d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{3953ebcd-0ed4-5c90-b589-07dc8540e708,868bb008-3965-5673-8b4d-9b8bd2d97c18}	{-190668,133467}
f7ace1f2-a40e-54e2-a890-a5c48b1f430f	2026-09-04 02:00:00+00	2026-09-04	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a66616c73652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a35343635352c226361636865645f696e707574223a302c226f7574707574223a31303531352c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3139333433302c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3133353430317d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a35383032397d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{3953ebcd-0ed4-5c90-b589-07dc8540e708,868bb008-3965-5673-8b4d-9b8bd2d97c18}	{-193430,135401}
918839ce-3a8a-5575-b853-bd5933278f4e	2026-09-04 02:00:00+00	2026-09-04	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a747275652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a35353633322c226361636865645f696e707574223a302c226f7574707574223a31303631362c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3139363139322c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3133373333347d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a35383835387d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{3953ebcd-0ed4-5c90-b589-07dc8540e708,868bb008-3965-5673-8b4d-9b8bd2d97c18}	{-196192,137334}
ee283e5f-153f-5580-ad61-1eb4866c53f3	2026-09-04 02:00:00+00	2026-09-04	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a66616c73652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a35363630392c226361636865645f696e707574223a302c226f7574707574223a31303731372c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3139383935342c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3133393236387d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a35393638367d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{3953ebcd-0ed4-5c90-b589-07dc8540e708,868bb008-3965-5673-8b4d-9b8bd2d97c18}	{-198954,139268}
051a914d-da3c-5bed-af88-cc2c7399657d	2026-09-04 02:00:00+00	2026-09-04	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a747275652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a35373538362c226361636865645f696e707574223a302c226f7574707574223a31303831382c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3230313731362c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3134313230317d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a36303531357d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{3953ebcd-0ed4-5c90-b589-07dc8540e708,868bb008-3965-5673-8b4d-9b8bd2d97c18}	{-201716,141201}
b2ea6e46-4431-5f32-aca8-d41ff49ffff0	2026-09-04 02:00:00+00	2026-09-04	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a66616c73652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a35383536332c226361636865645f696e707574223a302c226f7574707574223a31303931392c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3230343437382c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3134333133357d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a36313334337d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{3953ebcd-0ed4-5c90-b589-07dc8540e708,868bb008-3965-5673-8b4d-9b8bd2d97c18}	{-204478,143135}
2794ede0-21eb-5d19-af08-127ebad3cbb0	2026-09-04 02:00:00+00	2026-09-04	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a747275652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a35393534302c226361636865645f696e707574223a302c226f7574707574223a31313032302c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3230373234302c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3134353036387d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a36323137327d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{3953ebcd-0ed4-5c90-b589-07dc8540e708,868bb008-3965-5673-8b4d-9b8bd2d97c18}	{-207240,145068}
f56f76c8-2c55-54a1-9ce6-276b0598a8de	2026-09-04 02:00:00+00	2026-09-04	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a66616c73652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a36303531372c226361636865645f696e707574223a302c226f7574707574223a31313132312c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3231303030322c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3134373030317d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a36333030317d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{3953ebcd-0ed4-5c90-b589-07dc8540e708,868bb008-3965-5673-8b4d-9b8bd2d97c18}	{-210002,147001}
b7b63190-ecc9-5f17-ba83-5f59a58f850d	2026-09-04 02:00:00+00	2026-09-04	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a747275652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a36313439342c226361636865645f696e707574223a302c226f7574707574223a31313232322c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3231323736342c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3134383933347d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a36333833307d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{3953ebcd-0ed4-5c90-b589-07dc8540e708,868bb008-3965-5673-8b4d-9b8bd2d97c18}	{-212764,148934}
4621e3e9-4e20-5517-940b-3851ad34fad3	2026-09-04 02:00:00+00	2026-09-04	call			\N	\\x7b2276223a312c2266616365223a2263686174222c226d6f64656c223a22676f6f64222c226f72675f6964223a2230316132313661662d613563352d373064352d396630362d316538313734646162346665222c226b65795f6964223a2230316132313661662d613563662d373664642d626661662d323036316564643539346363222c226b65795f6e616d65223a226669727374222c22656e67696e65223a22656e67696e652031222c22656e67696e655f6b696e64223a226f70656e6169222c22757073747265616d5f6d6f64656c223a22676f6f64222c2273747265616d223a66616c73652c22737461747573223a22636f6d706c65746564222c2266696e6973685f726561736f6e223a2273746f70222c226275636b657473223a7b22696e707574223a36323437312c226361636865645f696e707574223a302c226f7574707574223a31313332332c22726561736f6e696e67223a302c22746f6f6c223a307d2c2275736167655f736f75726365223a22656e67696e65222c2275736167655f636c616d706564223a66616c73652c22707269636573223a7b22696e707574223a323030303030302c226361636865645f696e707574223a3530303030302c226f7574707574223a383030303030302c22726561736f6e696e67223a383030303030302c22746f6f6c223a323030303030302c2276657273696f6e223a2270726963652031222c227468696e223a66616c73652c226c6f7373223a66616c73657d2c2268656c645f6d6963726f223a323030303030302c22746f74616c5f6d6963726f223a3231353532362c22756e636f76657265645f6d6963726f223a302c22736861726573223a5b7b22726f6c65223a226e6f6465222c226163636f756e74223a2230316132313661662d613564662d373163382d386561372d346164356165626230306137222c22616d6f756e745f6d6963726f223a3135303836387d2c7b22726f6c65223a22706c6174666f726d222c226163636f756e74223a2230316132313661662d613730362d373136632d626565302d326235626637396661383866222c22616d6f756e745f6d6963726f223a36343635387d5d2c2272756c6573223a7b22503131223a2231227d2c2274696d696e6773223a7b2261646d69747465645f6d73223a312e302c2266697273745f746f6b656e5f6d73223a322e302c22656e67696e655f646f6e655f6d73223a332e307d2c22617474656d707473223a317d	{3953ebcd-0ed4-5c90-b589-07dc8540e708,868bb008-3965-5673-8b4d-9b8bd2d97c18}	{-215526,150868}
\.


--
-- Data for Name: posting_transfer; Type: TABLE DATA; Schema: ledger; Owner: -
--

COPY ledger.posting_transfer (posting, ordinal, transfer) FROM stdin;
01a216af-a52a-76aa-ba01-2b24c66005f9	1	01a216af-a52a-76aa-ba01-2b24c66005f8
01a216af-a52a-76aa-ba01-2b24c66005f9	2	01a216af-a52a-76aa-ba01-2b24c66005fb
01a216af-a52a-76aa-ba01-2b24c66005f9	3	01a216af-a52a-76aa-ba01-2b24c66005fa
01a216af-a5ea-741a-a06b-9baf6575cb5b	1	01a216af-a5ea-741a-a06b-9baf6575cb5a
01a216af-a5ea-741a-a06b-9baf6575cb5b	2	01a216af-a5ea-741a-a06b-9baf6575cb59
01a216af-a5ea-741a-a06b-9baf6575cb5b	3	01a216af-a5ea-741a-a06b-9baf6575cb58
01a216af-a5ea-741a-a06b-9baf6575cb5b	4	01a216af-a5ea-741a-a06b-9baf6575cb5f
01a216af-a6a4-7566-a821-62661191eea9	1	01a216af-a6a4-7566-a821-62661191eea8
01a216af-a6a4-7566-a821-62661191eea9	2	01a216af-a6a4-7566-a821-62661191eeab
01a216af-a6a4-7566-a821-62661191eea9	3	01a216af-a6a4-7566-a821-62661191eeaa
3953ebcd-0ed4-5c90-b589-07dd8540e708	1	243fefac-b5ec-5a97-b405-fb85cacc8b0d
7d2f49d9-2f09-5ed4-9c7c-be8763e31e75	1	bb94f333-8b92-5a07-9c82-e53eafcd9877
87f0dcb2-206a-5942-9ac0-2ff81b6d8db5	1	4c6661ea-c9db-598a-bb0f-32a3e08b62c9
24cf7c2d-3bcd-5501-af28-278a21fe125a	1	fb9328e6-10e8-5250-be60-0a44dcfc7d79
3589ed13-930a-5ddf-9400-ff0d74c6b31e	1	3589ed13-930a-5ddf-9400-ff0d74c6b31f
a121112d-0e0c-51ff-b677-5063b31aa2af	1	6478b96b-a81d-5bab-ae9c-6c6fea63d199
d250d8e2-0fb3-5c76-a44b-2181dc61566a	2	d250d8e2-0fb3-5c76-a44b-2181dc61566b
f2c8b734-87e4-5be5-8f07-e481d2ac52c9	2	f2c8b734-87e4-5be5-8f07-e481d2ac52c8
5d92faf8-b557-5f2a-a8ee-686f05b24999	2	5d92faf8-b557-5f2a-a8ee-686f05b24998
38b69c75-5efb-53b3-9c52-1657fd004e40	2	38b69c75-5efb-53b3-9c52-1657fd004e41
4aef95a8-a839-5761-98e2-43ce5093999d	2	4aef95a8-a839-5761-98e2-43ce5093999c
2a6aa422-a2a2-5008-9d10-d7e374fd82fc	2	2a6aa422-a2a2-5008-9d10-d7e374fd82fd
e42141af-8855-581d-a251-71e4cbc8bb87	2	e42141af-8855-581d-a251-71e4cbc8bb86
20ee820e-d2ac-50ed-b0d2-62e97d394407	2	20ee820e-d2ac-50ed-b0d2-62e97d394406
cbbe515b-2c16-5fb8-94f5-211bdf3facaa	2	cbbe515b-2c16-5fb8-94f5-211bdf3facab
6d24f152-205c-5b5e-8388-3be95a9b3d56	2	6d24f152-205c-5b5e-8388-3be95a9b3d57
94ab5c0e-c401-5e34-ae83-23b0cf17e58c	2	94ab5c0e-c401-5e34-ae83-23b0cf17e58d
30ee3a4b-912e-5164-a621-338ffb3c2a5d	2	30ee3a4b-912e-5164-a621-338ffb3c2a5c
01a216af-a7e4-7641-ad93-c138cf14bdb1	1	01a216af-a7e4-7641-ad93-c136e134d87b
01a216af-a7e4-7641-ad93-c138cf14bdb1	2	01a216af-a7e4-7641-ad93-c137fc291807
01a216af-a845-734f-9563-9efe4974f673	1	01a216af-a845-734f-9563-9eff18d79f24
01a216af-a84a-70c7-99b4-abe3eba6b4f8	1	01a216af-a84a-70c7-99b4-abe42acec8e7
08483d84-be18-5301-bc68-e0971d4c4356	2	08483d84-be18-5301-bc68-e0971d4c4357
98eef98a-dfff-58b2-871d-eba27599b59a	2	98eef98a-dfff-58b2-871d-eba27599b59b
d5c80462-d839-5014-aa02-67d7df6ad6b6	2	d5c80462-d839-5014-aa02-67d7df6ad6b7
f7ace1f2-a40e-54e2-a890-a5c48b1f430f	2	f7ace1f2-a40e-54e2-a890-a5c48b1f430e
918839ce-3a8a-5575-b853-bd5933278f4e	2	918839ce-3a8a-5575-b853-bd5933278f4f
ee283e5f-153f-5580-ad61-1eb4866c53f3	2	ee283e5f-153f-5580-ad61-1eb4866c53f2
051a914d-da3c-5bed-af88-cc2c7399657d	2	051a914d-da3c-5bed-af88-cc2c7399657c
b2ea6e46-4431-5f32-aca8-d41ff49ffff0	2	b2ea6e46-4431-5f32-aca8-d41ff49ffff1
2794ede0-21eb-5d19-af08-127ebad3cbb0	2	2794ede0-21eb-5d19-af08-127ebad3cbb1
f56f76c8-2c55-54a1-9ce6-276b0598a8de	2	f56f76c8-2c55-54a1-9ce6-276b0598a8df
b7b63190-ecc9-5f17-ba83-5f59a58f850d	2	b7b63190-ecc9-5f17-ba83-5f59a58f850c
4621e3e9-4e20-5517-940b-3851ad34fad3	2	4621e3e9-4e20-5517-940b-3851ad34fad2
\.


--
-- Data for Name: stripe; Type: TABLE DATA; Schema: ledger; Owner: -
--

COPY ledger.stripe (account, worker, balance) FROM stdin;
01a216af-a55d-767a-85ba-584c41e4153e	cli	-1000000
01a216af-a654-76c6-94f5-5a8349bbdb03	cli	-140000
01a216af-a55e-7640-b30b-b271da04f887	cli	1145000
01a216af-a6c2-760e-9aed-eea38d0f1667	cli	-5000
01a216af-a6fd-71bd-9d5e-efe4492241d4	cli	-11000000
01a216af-a554-732e-b965-52e6cac89d7c	cli	-12120000000
01a216af-a83f-7456-ae48-fa9e08934ba7	cli	4292203
01a216af-a706-716c-bee0-2b5bf79fa88f	cli	5275012
\.


--
-- Data for Name: transfer; Type: TABLE DATA; Schema: ledger; Owner: -
--

COPY ledger.transfer (id, posting, debit, credit, amount, at) FROM stdin;
01a216af-a52a-76aa-ba01-2b24c66005f8	01a216af-a52a-76aa-ba01-2b24c66005f9	01a216af-a55d-767a-85ba-584c41e4153e	01a216af-a558-7614-ae7e-3530948fe74a	1000000	2026-09-01 02:00:00+00
01a216af-a52a-76aa-ba01-2b24c66005fb	01a216af-a52a-76aa-ba01-2b24c66005f9	01a216af-a558-7614-ae7e-3530948fe74a	01a216af-a55e-7640-b30b-b271da04f887	1000000	2026-09-01 02:00:00+00
01a216af-a52a-76aa-ba01-2b24c66005fa	01a216af-a52a-76aa-ba01-2b24c66005f9	01a216af-a554-732e-b965-52e6cac89d7c	01a216af-a54d-732c-8015-eadf8103f115	10000000000	2026-09-01 02:00:00+00
01a216af-a5ea-741a-a06b-9baf6575cb5a	01a216af-a5ea-741a-a06b-9baf6575cb5b	01a216af-a654-76c6-94f5-5a8349bbdb03	01a216af-a652-71a1-a944-3c574bf2e34c	140000	2026-09-01 02:00:00+00
01a216af-a5ea-741a-a06b-9baf6575cb59	01a216af-a5ea-741a-a06b-9baf6575cb5b	01a216af-a652-71a1-a944-3c574bf2e34c	01a216af-a55e-7640-b30b-b271da04f887	140000	2026-09-01 02:00:00+00
01a216af-a5ea-741a-a06b-9baf6575cb58	01a216af-a5ea-741a-a06b-9baf6575cb5b	01a216af-a554-732e-b965-52e6cac89d7c	01a216af-a5d4-77d9-be0b-a2922c48d286	1400000000	2026-09-01 02:00:00+00
01a216af-a5ea-741a-a06b-9baf6575cb5f	01a216af-a5ea-741a-a06b-9baf6575cb5b	01a216af-a554-732e-b965-52e6cac89d7c	01a216af-a5d4-77d9-be0b-a2922c48d286	600000000	2026-09-01 02:00:00+00
01a216af-a6a4-7566-a821-62661191eea8	01a216af-a6a4-7566-a821-62661191eea9	01a216af-a6c2-760e-9aed-eea38d0f1667	01a216af-a6b6-75eb-a507-d5d9f3e78a39	5000	2026-09-01 02:00:00+00
01a216af-a6a4-7566-a821-62661191eeab	01a216af-a6a4-7566-a821-62661191eea9	01a216af-a6b6-75eb-a507-d5d9f3e78a39	01a216af-a55e-7640-b30b-b271da04f887	5000	2026-09-01 02:00:00+00
01a216af-a6a4-7566-a821-62661191eeaa	01a216af-a6a4-7566-a821-62661191eea9	01a216af-a554-732e-b965-52e6cac89d7c	01a216af-a5de-712c-b804-1ba44e8a033d	50000000	2026-09-01 02:00:00+00
243fefac-b5ec-5a97-b405-fb85cacc8b0d	3953ebcd-0ed4-5c90-b589-07dd8540e708	01a216af-a554-732e-b965-52e6cac89d7c	01a216af-a5d4-77d9-be0b-a2922c48d286	30000000	2026-09-01 02:00:00+00
bb94f333-8b92-5a07-9c82-e53eafcd9877	7d2f49d9-2f09-5ed4-9c7c-be8763e31e75	01a216af-a554-732e-b965-52e6cac89d7c	01a216af-a5d4-77d9-be0b-a2922c48d286	25000000	2026-09-01 02:00:00+00
4c6661ea-c9db-598a-bb0f-32a3e08b62c9	87f0dcb2-206a-5942-9ac0-2ff81b6d8db5	01a216af-a554-732e-b965-52e6cac89d7c	01a216af-a5d4-77d9-be0b-a2922c48d286	5000000	2026-09-01 02:00:00+00
fb9328e6-10e8-5250-be60-0a44dcfc7d79	24cf7c2d-3bcd-5501-af28-278a21fe125a	01a216af-a554-732e-b965-52e6cac89d7c	01a216af-a5de-712c-b804-1ba44e8a033d	7000000	2026-09-01 02:00:00+00
3589ed13-930a-5ddf-9400-ff0d74c6b31f	3589ed13-930a-5ddf-9400-ff0d74c6b31e	01a216af-a6fd-71bd-9d5e-efe4492241d4	01a216af-a6f1-73b5-a6f8-5f2ccbcbc135	11000000	2026-09-01 02:00:00+00
6478b96b-a81d-5bab-ae9c-6c6fea63d199	a121112d-0e0c-51ff-b677-5063b31aa2af	01a216af-a554-732e-b965-52e6cac89d7c	01a216af-a6f1-73b5-a6f8-5f2ccbcbc135	3000000	2026-09-01 02:00:00+00
d250d8e2-0fb3-5c76-a44b-2181dc61566a	d250d8e2-0fb3-5c76-a44b-2181dc61566a	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	106400	2026-09-01 02:00:00+00
d250d8e2-0fb3-5c76-a44b-2181dc61566b	d250d8e2-0fb3-5c76-a44b-2181dc61566a	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	45600	2026-09-01 02:00:00+00
f2c8b734-87e4-5be5-8f07-e481d2ac52c9	f2c8b734-87e4-5be5-8f07-e481d2ac52c9	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	108333	2026-09-01 02:00:00+00
f2c8b734-87e4-5be5-8f07-e481d2ac52c8	f2c8b734-87e4-5be5-8f07-e481d2ac52c9	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	46429	2026-09-01 02:00:00+00
5d92faf8-b557-5f2a-a8ee-686f05b24999	5d92faf8-b557-5f2a-a8ee-686f05b24999	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	110267	2026-09-01 02:00:00+00
5d92faf8-b557-5f2a-a8ee-686f05b24998	5d92faf8-b557-5f2a-a8ee-686f05b24999	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	47257	2026-09-01 02:00:00+00
38b69c75-5efb-53b3-9c52-1657fd004e40	38b69c75-5efb-53b3-9c52-1657fd004e40	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	112200	2026-09-01 02:00:00+00
38b69c75-5efb-53b3-9c52-1657fd004e41	38b69c75-5efb-53b3-9c52-1657fd004e40	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	48086	2026-09-01 02:00:00+00
4aef95a8-a839-5761-98e2-43ce5093999d	4aef95a8-a839-5761-98e2-43ce5093999d	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	114134	2026-09-01 02:00:00+00
4aef95a8-a839-5761-98e2-43ce5093999c	4aef95a8-a839-5761-98e2-43ce5093999d	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	48914	2026-09-01 02:00:00+00
2a6aa422-a2a2-5008-9d10-d7e374fd82fc	2a6aa422-a2a2-5008-9d10-d7e374fd82fc	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	116067	2026-09-01 02:00:00+00
2a6aa422-a2a2-5008-9d10-d7e374fd82fd	2a6aa422-a2a2-5008-9d10-d7e374fd82fc	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	49743	2026-09-01 02:00:00+00
e42141af-8855-581d-a251-71e4cbc8bb87	e42141af-8855-581d-a251-71e4cbc8bb87	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	118000	2026-09-01 02:00:00+00
e42141af-8855-581d-a251-71e4cbc8bb86	e42141af-8855-581d-a251-71e4cbc8bb87	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	50572	2026-09-01 02:00:00+00
20ee820e-d2ac-50ed-b0d2-62e97d394407	20ee820e-d2ac-50ed-b0d2-62e97d394407	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	119934	2026-09-01 02:00:00+00
20ee820e-d2ac-50ed-b0d2-62e97d394406	20ee820e-d2ac-50ed-b0d2-62e97d394407	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	51400	2026-09-01 02:00:00+00
cbbe515b-2c16-5fb8-94f5-211bdf3facaa	cbbe515b-2c16-5fb8-94f5-211bdf3facaa	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	121867	2026-09-01 02:00:00+00
cbbe515b-2c16-5fb8-94f5-211bdf3facab	cbbe515b-2c16-5fb8-94f5-211bdf3facaa	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	52229	2026-09-01 02:00:00+00
6d24f152-205c-5b5e-8388-3be95a9b3d56	6d24f152-205c-5b5e-8388-3be95a9b3d56	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	123800	2026-09-01 02:00:00+00
6d24f152-205c-5b5e-8388-3be95a9b3d57	6d24f152-205c-5b5e-8388-3be95a9b3d56	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	53058	2026-09-01 02:00:00+00
94ab5c0e-c401-5e34-ae83-23b0cf17e58c	94ab5c0e-c401-5e34-ae83-23b0cf17e58c	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	125734	2026-09-01 02:00:00+00
94ab5c0e-c401-5e34-ae83-23b0cf17e58d	94ab5c0e-c401-5e34-ae83-23b0cf17e58c	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	53886	2026-09-01 02:00:00+00
30ee3a4b-912e-5164-a621-338ffb3c2a5d	30ee3a4b-912e-5164-a621-338ffb3c2a5d	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	127667	2026-09-01 02:00:00+00
30ee3a4b-912e-5164-a621-338ffb3c2a5c	30ee3a4b-912e-5164-a621-338ffb3c2a5d	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	54715	2026-09-01 02:00:00+00
01a216af-a7e4-7641-ad93-c136e134d87b	01a216af-a7e4-7641-ad93-c138cf14bdb1	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	01a216af-a5d4-77d9-be0b-a2922c48d286	112200	2026-09-02 02:00:00+00
01a216af-a7e4-7641-ad93-c137fc291807	01a216af-a7e4-7641-ad93-c138cf14bdb1	01a216af-a706-716c-bee0-2b5bf79fa88f	01a216af-a5d4-77d9-be0b-a2922c48d286	48086	2026-09-02 02:00:00+00
653e569b-fb42-598c-8a9b-6f25098512c7	653e569b-fb42-598c-8a9b-6f25098512c7	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	4000000	2026-09-02 02:00:00+00
01a216af-a845-734f-9563-9eff18d79f24	01a216af-a845-734f-9563-9efe4974f673	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	01a216af-a83f-7456-ae48-fa9e08934ba7	1292203	2026-09-04 02:00:00+00
01a216af-a84a-70c7-99b4-abe42acec8e7	01a216af-a84a-70c7-99b4-abe3eba6b4f8	01a216af-a6f1-73b5-a6f8-5f2ccbcbc135	01a216af-a83f-7456-ae48-fa9e08934ba7	3000000	2026-09-04 02:00:00+00
08483d84-be18-5301-bc68-e0971d4c4356	08483d84-be18-5301-bc68-e0971d4c4356	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	129600	2026-09-04 02:00:00+00
08483d84-be18-5301-bc68-e0971d4c4357	08483d84-be18-5301-bc68-e0971d4c4356	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	55544	2026-09-04 02:00:00+00
98eef98a-dfff-58b2-871d-eba27599b59a	98eef98a-dfff-58b2-871d-eba27599b59a	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	131534	2026-09-04 02:00:00+00
98eef98a-dfff-58b2-871d-eba27599b59b	98eef98a-dfff-58b2-871d-eba27599b59a	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	56372	2026-09-04 02:00:00+00
d5c80462-d839-5014-aa02-67d7df6ad6b6	d5c80462-d839-5014-aa02-67d7df6ad6b6	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	133467	2026-09-04 02:00:00+00
d5c80462-d839-5014-aa02-67d7df6ad6b7	d5c80462-d839-5014-aa02-67d7df6ad6b6	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	57201	2026-09-04 02:00:00+00
f7ace1f2-a40e-54e2-a890-a5c48b1f430f	f7ace1f2-a40e-54e2-a890-a5c48b1f430f	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	135401	2026-09-04 02:00:00+00
f7ace1f2-a40e-54e2-a890-a5c48b1f430e	f7ace1f2-a40e-54e2-a890-a5c48b1f430f	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	58029	2026-09-04 02:00:00+00
918839ce-3a8a-5575-b853-bd5933278f4e	918839ce-3a8a-5575-b853-bd5933278f4e	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	137334	2026-09-04 02:00:00+00
918839ce-3a8a-5575-b853-bd5933278f4f	918839ce-3a8a-5575-b853-bd5933278f4e	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	58858	2026-09-04 02:00:00+00
ee283e5f-153f-5580-ad61-1eb4866c53f3	ee283e5f-153f-5580-ad61-1eb4866c53f3	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	139268	2026-09-04 02:00:00+00
ee283e5f-153f-5580-ad61-1eb4866c53f2	ee283e5f-153f-5580-ad61-1eb4866c53f3	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	59686	2026-09-04 02:00:00+00
051a914d-da3c-5bed-af88-cc2c7399657d	051a914d-da3c-5bed-af88-cc2c7399657d	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	141201	2026-09-04 02:00:00+00
051a914d-da3c-5bed-af88-cc2c7399657c	051a914d-da3c-5bed-af88-cc2c7399657d	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	60515	2026-09-04 02:00:00+00
b2ea6e46-4431-5f32-aca8-d41ff49ffff0	b2ea6e46-4431-5f32-aca8-d41ff49ffff0	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	143135	2026-09-04 02:00:00+00
b2ea6e46-4431-5f32-aca8-d41ff49ffff1	b2ea6e46-4431-5f32-aca8-d41ff49ffff0	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	61343	2026-09-04 02:00:00+00
2794ede0-21eb-5d19-af08-127ebad3cbb0	2794ede0-21eb-5d19-af08-127ebad3cbb0	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	145068	2026-09-04 02:00:00+00
2794ede0-21eb-5d19-af08-127ebad3cbb1	2794ede0-21eb-5d19-af08-127ebad3cbb0	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	62172	2026-09-04 02:00:00+00
f56f76c8-2c55-54a1-9ce6-276b0598a8de	f56f76c8-2c55-54a1-9ce6-276b0598a8de	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	147001	2026-09-04 02:00:00+00
f56f76c8-2c55-54a1-9ce6-276b0598a8df	f56f76c8-2c55-54a1-9ce6-276b0598a8de	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	63001	2026-09-04 02:00:00+00
b7b63190-ecc9-5f17-ba83-5f59a58f850d	b7b63190-ecc9-5f17-ba83-5f59a58f850d	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	148934	2026-09-04 02:00:00+00
b7b63190-ecc9-5f17-ba83-5f59a58f850c	b7b63190-ecc9-5f17-ba83-5f59a58f850d	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	63830	2026-09-04 02:00:00+00
4621e3e9-4e20-5517-940b-3851ad34fad3	4621e3e9-4e20-5517-940b-3851ad34fad3	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a5df-71c8-8ea7-4ad5aebb00a7	150868	2026-09-04 02:00:00+00
4621e3e9-4e20-5517-940b-3851ad34fad2	4621e3e9-4e20-5517-940b-3851ad34fad3	01a216af-a5d4-77d9-be0b-a2922c48d286	01a216af-a706-716c-bee0-2b5bf79fa88f	64658	2026-09-04 02:00:00+00
\.


--
-- Data for Name: mandate; Type: TABLE DATA; Schema: payments; Owner: -
--

COPY payments.mandate (id, org_id, client_ref, provider, provider_ref, limit_fen, state, redirect_url, created_at, decided_at) FROM stdin;
01a216af-a891-733b-88c9-6a600eb514ac	01a216af-a5c5-70d5-9f06-1e8174dab4fe	auto-01a216af-a891-733b-88c9-6a5ffb26764d	sandbox	17a06514953032c12f6d7095c872eae2	20000	pending	/pay/sandbox/mandates/17a06514953032c12f6d7095c872eae2	2026-09-04 02:00:00+00	\N
\.


--
-- Data for Name: notification; Type: TABLE DATA; Schema: payments; Owner: -
--

COPY payments.notification (provider, nonce, event_id, event, subject_id, changed, received_at) FROM stdin;
sandbox	308baef95b92987a811f1211bb4c079d	01a216af-a60c-70ca-bcbf-44001d28b99a	payment.pending	01a216af-a5ea-741a-a06b-9bae594e06b9	f	2026-09-01 02:00:00+00
sandbox	c8fc046a95ff2807adbdf1597e24292f	01a216af-a60e-7362-9384-ecd1c2e78496	payment.succeeded	01a216af-a5ea-741a-a06b-9bae594e06b9	t	2026-09-01 02:00:00+00
\.


--
-- Data for Name: order_event; Type: TABLE DATA; Schema: payments; Owner: -
--

COPY payments.order_event (order_id, ordinal, state_from, state_to, cause, at) FROM stdin;
01a216af-a5ea-741a-a06b-9bae594e06b9	1	\N	created	ordered	2026-09-01 02:00:00+00
01a216af-a5ea-741a-a06b-9bae594e06b9	2	created	pending	registered at the provider	2026-09-01 02:00:00+00
01a216af-a5ea-741a-a06b-9bae594e06b9	3	pending	paid	notification 01a216af-a60e-7362-9384-ecd1c2e78496	2026-09-01 02:00:00+00
01a216af-a8c6-7219-acce-e25519ec1588	1	\N	created	ordered	2026-09-04 02:00:00+00
01a216af-a8c6-7219-acce-e25519ec1588	2	created	pending	registered at the provider	2026-09-04 02:00:00+00
\.


--
-- Data for Name: pay_order; Type: TABLE DATA; Schema: payments; Owner: -
--

COPY payments.pay_order (id, org_id, client_ref, purpose, provider, provider_ref, mandate_id, amount_fen, refunded_fen, subject, return_path, redirect_url, state, created_at, expires_at, paid_at, checked_at, settled_at, settled_ref) FROM stdin;
01a216af-a5ea-741a-a06b-9bae594e06b9	01a216af-a5c5-70d5-9f06-1e8174dab4fe	credits-01a216af-a5ea-741a-a06b-9bae594e06b9	credits	sandbox	91cff7faafccd1c82bbb4fa44b821dce	\N	140000	0	积分充值	/topup/01a216af-a5ea-741a-a06b-9bae594e06b9	/pay/sandbox/91cff7faafccd1c82bbb4fa44b821dce	paid	2026-09-01 02:00:00+00	2026-09-01 02:30:00+00	2026-09-01 02:00:00+00	2026-09-01 02:00:00+00	2026-09-01 02:00:00+00	01a216af-a5ea-741a-a06b-9baf6575cb5b
01a216af-a8c6-7219-acce-e25519ec1588	01a216af-a5c5-70d5-9f06-1e8174dab4fe	credits-01a216af-a8c6-7219-acce-e25519ec1588	credits	sandbox	b0b98e03fe4c5690ef4f7f27aa1887c6	\N	21000	0	积分充值	/topup/01a216af-a8c6-7219-acce-e25519ec1588	/pay/sandbox/b0b98e03fe4c5690ef4f7f27aa1887c6	pending	2026-09-04 02:00:00+00	2026-09-04 02:30:00+00	\N	2026-09-04 02:00:00+00	\N	\N
\.


--
-- Data for Name: refund; Type: TABLE DATA; Schema: payments; Owner: -
--

COPY payments.refund (id, order_id, client_ref, amount_fen, reason, actor, state, provider_ref, created_at, decided_at) FROM stdin;
\.


--
-- Data for Name: sandbox_mandate; Type: TABLE DATA; Schema: payments; Owner: -
--

COPY payments.sandbox_mandate (ref, mandate_id, limit_fen, state, return_path) FROM stdin;
17a06514953032c12f6d7095c872eae2	01a216af-a891-733b-88c9-6a600eb514ac	20000	pending	/settings
\.


--
-- Data for Name: sandbox_notice; Type: TABLE DATA; Schema: payments; Owner: -
--

COPY payments.sandbox_notice (id, body, due_at, attempts, delivered_at) FROM stdin;
1	{"id": "01a216af-a60c-70ca-bcbf-44001d28b99a", "event": "payment.pending", "amount_fen": 140000, "subject_id": "01a216af-a5ea-741a-a06b-9bae594e06b9", "occurred_at": "2026-09-01T02:00:00+00:00", "provider_ref": "91cff7faafccd1c82bbb4fa44b821dce"}	2026-09-01 02:00:02+00	1	2026-09-01 02:00:00+00
2	{"id": "01a216af-a60e-7362-9384-ecd1c2e78496", "event": "payment.succeeded", "amount_fen": 140000, "subject_id": "01a216af-a5ea-741a-a06b-9bae594e06b9", "occurred_at": "2026-09-01T02:00:00+00:00", "provider_ref": "91cff7faafccd1c82bbb4fa44b821dce"}	2026-09-01 02:00:02+00	1	2026-09-01 02:00:00+00
\.


--
-- Data for Name: sandbox_payment; Type: TABLE DATA; Schema: payments; Owner: -
--

COPY payments.sandbox_payment (ref, order_id, amount_fen, subject, return_path, state, expires_at, paid_at) FROM stdin;
91cff7faafccd1c82bbb4fa44b821dce	01a216af-a5ea-741a-a06b-9bae594e06b9	140000	积分充值	/topup/01a216af-a5ea-741a-a06b-9bae594e06b9	paid	2026-09-01 02:30:00+00	2026-09-01 02:00:00+00
b0b98e03fe4c5690ef4f7f27aa1887c6	01a216af-a8c6-7219-acce-e25519ec1588	21000	积分充值	/topup/01a216af-a8c6-7219-acce-e25519ec1588	pending	2026-09-04 02:30:00+00	\N
\.


--
-- Data for Name: sandbox_refund; Type: TABLE DATA; Schema: payments; Owner: -
--

COPY payments.sandbox_refund (refund_id, ref, amount_fen) FROM stdin;
\.


--
-- Data for Name: amendment; Type: TABLE DATA; Schema: rulebook; Owner: -
--

COPY rulebook.amendment (id, ordinal, rule_id, content, sha256, decided_by, note, recorded_at) FROM stdin;
\.


--
-- Name: event_seq_seq; Type: SEQUENCE SET; Schema: kernel; Owner: -
--

SELECT pg_catalog.setval('kernel.event_seq_seq', 1, false);


--
-- Name: lease_epoch_seq; Type: SEQUENCE SET; Schema: ledger; Owner: -
--

SELECT pg_catalog.setval('ledger.lease_epoch_seq', 2, true);


--
-- Name: sandbox_notice_id_seq; Type: SEQUENCE SET; Schema: payments; Owner: -
--

SELECT pg_catalog.setval('payments.sandbox_notice_id_seq', 2, true);


--
-- Name: amendment_ordinal_seq; Type: SEQUENCE SET; Schema: rulebook; Owner: -
--

SELECT pg_catalog.setval('rulebook.amendment_ordinal_seq', 1, false);


--
-- Name: engine_event engine_event_pkey; Type: CONSTRAINT; Schema: compute; Owner: -
--

ALTER TABLE ONLY compute.engine_event
    ADD CONSTRAINT engine_event_pkey PRIMARY KEY (id);


--
-- Name: engine_model engine_model_pkey; Type: CONSTRAINT; Schema: compute; Owner: -
--

ALTER TABLE ONLY compute.engine_model
    ADD CONSTRAINT engine_model_pkey PRIMARY KEY (engine_id, model);


--
-- Name: engine engine_name_key; Type: CONSTRAINT; Schema: compute; Owner: -
--

ALTER TABLE ONLY compute.engine
    ADD CONSTRAINT engine_name_key UNIQUE (name);


--
-- Name: engine engine_pkey; Type: CONSTRAINT; Schema: compute; Owner: -
--

ALTER TABLE ONLY compute.engine
    ADD CONSTRAINT engine_pkey PRIMARY KEY (id);


--
-- Name: model model_pkey; Type: CONSTRAINT; Schema: compute; Owner: -
--

ALTER TABLE ONLY compute.model
    ADD CONSTRAINT model_pkey PRIMARY KEY (id);


--
-- Name: price price_pkey; Type: CONSTRAINT; Schema: compute; Owner: -
--

ALTER TABLE ONLY compute.price
    ADD CONSTRAINT price_pkey PRIMARY KEY (version_id, bucket);


--
-- Name: price_version price_version_pkey; Type: CONSTRAINT; Schema: compute; Owner: -
--

ALTER TABLE ONLY compute.price_version
    ADD CONSTRAINT price_version_pkey PRIMARY KEY (id);


--
-- Name: alert_firing alert_firing_pkey; Type: CONSTRAINT; Schema: credits; Owner: -
--

ALTER TABLE ONLY credits.alert_firing
    ADD CONSTRAINT alert_firing_pkey PRIMARY KEY (alert_id, window_start);


--
-- Name: alert alert_pkey; Type: CONSTRAINT; Schema: credits; Owner: -
--

ALTER TABLE ONLY credits.alert
    ADD CONSTRAINT alert_pkey PRIMARY KEY (id);


--
-- Name: auto_top_up auto_top_up_pkey; Type: CONSTRAINT; Schema: credits; Owner: -
--

ALTER TABLE ONLY credits.auto_top_up
    ADD CONSTRAINT auto_top_up_pkey PRIMARY KEY (org_id);


--
-- Name: benefit benefit_pkey; Type: CONSTRAINT; Schema: credits; Owner: -
--

ALTER TABLE ONLY credits.benefit
    ADD CONSTRAINT benefit_pkey PRIMARY KEY (beneficiary, year);


--
-- Name: purchase purchase_order_id_key; Type: CONSTRAINT; Schema: credits; Owner: -
--

ALTER TABLE ONLY credits.purchase
    ADD CONSTRAINT purchase_order_id_key UNIQUE (order_id);


--
-- Name: purchase purchase_org_id_client_ref_key; Type: CONSTRAINT; Schema: credits; Owner: -
--

ALTER TABLE ONLY credits.purchase
    ADD CONSTRAINT purchase_org_id_client_ref_key UNIQUE (org_id, client_ref);


--
-- Name: purchase purchase_pkey; Type: CONSTRAINT; Schema: credits; Owner: -
--

ALTER TABLE ONLY credits.purchase
    ADD CONSTRAINT purchase_pkey PRIMARY KEY (id);


--
-- Name: purchase purchase_posting_id_key; Type: CONSTRAINT; Schema: credits; Owner: -
--

ALTER TABLE ONLY credits.purchase
    ADD CONSTRAINT purchase_posting_id_key UNIQUE (posting_id);


--
-- Name: quote quote_pkey; Type: CONSTRAINT; Schema: credits; Owner: -
--

ALTER TABLE ONLY credits.quote
    ADD CONSTRAINT quote_pkey PRIMARY KEY (id);


--
-- Name: usage_day usage_day_pkey; Type: CONSTRAINT; Schema: gateway; Owner: -
--

ALTER TABLE ONLY gateway.usage_day
    ADD CONSTRAINT usage_day_pkey PRIMARY KEY (org_id, day, key_id, model);


--
-- Name: api_key api_key_pkey; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.api_key
    ADD CONSTRAINT api_key_pkey PRIMARY KEY (id);


--
-- Name: api_key api_key_token_sha256_key; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.api_key
    ADD CONSTRAINT api_key_token_sha256_key UNIQUE (token_sha256);


--
-- Name: attempt attempt_pkey; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.attempt
    ADD CONSTRAINT attempt_pkey PRIMARY KEY (bucket);


--
-- Name: audit audit_pkey; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id);


--
-- Name: category category_pkey; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.category
    ADD CONSTRAINT category_pkey PRIMARY KEY (person_id, category, valid_from);


--
-- Name: challenge challenge_pkey; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.challenge
    ADD CONSTRAINT challenge_pkey PRIMARY KEY (id);


--
-- Name: city_role city_role_pkey; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.city_role
    ADD CONSTRAINT city_role_pkey PRIMARY KEY (person_id, role);


--
-- Name: consent consent_pkey; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.consent
    ADD CONSTRAINT consent_pkey PRIMARY KEY (id);


--
-- Name: department department_org_id_id_key; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.department
    ADD CONSTRAINT department_org_id_id_key UNIQUE (org_id, id);


--
-- Name: department department_org_id_name_key; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.department
    ADD CONSTRAINT department_org_id_name_key UNIQUE (org_id, name);


--
-- Name: department department_pkey; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.department
    ADD CONSTRAINT department_pkey PRIMARY KEY (id);


--
-- Name: leak leak_pkey; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.leak
    ADD CONSTRAINT leak_pkey PRIMARY KEY (id);


--
-- Name: membership membership_pkey; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.membership
    ADD CONSTRAINT membership_pkey PRIMARY KEY (org_id, person_id);


--
-- Name: oidc_flow oidc_flow_pkey; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.oidc_flow
    ADD CONSTRAINT oidc_flow_pkey PRIMARY KEY (state_sha256);


--
-- Name: oidc_subject oidc_subject_pkey; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.oidc_subject
    ADD CONSTRAINT oidc_subject_pkey PRIMARY KEY (subject_index);


--
-- Name: organisation organisation_person_id_key; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.organisation
    ADD CONSTRAINT organisation_person_id_key UNIQUE (person_id);


--
-- Name: organisation organisation_pkey; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.organisation
    ADD CONSTRAINT organisation_pkey PRIMARY KEY (id);


--
-- Name: organisation organisation_registration_key; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.organisation
    ADD CONSTRAINT organisation_registration_key UNIQUE (registration);


--
-- Name: passkey passkey_credential_id_key; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.passkey
    ADD CONSTRAINT passkey_credential_id_key UNIQUE (credential_id);


--
-- Name: passkey passkey_pkey; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.passkey
    ADD CONSTRAINT passkey_pkey PRIMARY KEY (id);


--
-- Name: password password_pkey; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.password
    ADD CONSTRAINT password_pkey PRIMARY KEY (person_id);


--
-- Name: person person_email_index_key; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.person
    ADD CONSTRAINT person_email_index_key UNIQUE (email_index);


--
-- Name: person person_login_index_key; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.person
    ADD CONSTRAINT person_login_index_key UNIQUE (login_index);


--
-- Name: person person_pkey; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.person
    ADD CONSTRAINT person_pkey PRIMARY KEY (id);


--
-- Name: recovery_code recovery_code_pkey; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.recovery_code
    ADD CONSTRAINT recovery_code_pkey PRIMARY KEY (person_id, code_sha256);


--
-- Name: session session_pkey; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.session
    ADD CONSTRAINT session_pkey PRIMARY KEY (id);


--
-- Name: session session_token_sha256_key; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.session
    ADD CONSTRAINT session_token_sha256_key UNIQUE (token_sha256);


--
-- Name: totp totp_pkey; Type: CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.totp
    ADD CONSTRAINT totp_pkey PRIMARY KEY (person_id);


--
-- Name: dispatch dispatch_pkey; Type: CONSTRAINT; Schema: kernel; Owner: -
--

ALTER TABLE ONLY kernel.dispatch
    ADD CONSTRAINT dispatch_pkey PRIMARY KEY (notice_id, channel);


--
-- Name: event event_id_key; Type: CONSTRAINT; Schema: kernel; Owner: -
--

ALTER TABLE ONLY kernel.event
    ADD CONSTRAINT event_id_key UNIQUE (id);


--
-- Name: event event_pkey; Type: CONSTRAINT; Schema: kernel; Owner: -
--

ALTER TABLE ONLY kernel.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (seq);


--
-- Name: metric_snapshot metric_snapshot_pkey; Type: CONSTRAINT; Schema: kernel; Owner: -
--

ALTER TABLE ONLY kernel.metric_snapshot
    ADD CONSTRAINT metric_snapshot_pkey PRIMARY KEY (worker);


--
-- Name: migration migration_pkey; Type: CONSTRAINT; Schema: kernel; Owner: -
--

ALTER TABLE ONLY kernel.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (ordinal);


--
-- Name: notice notice_dedupe_key; Type: CONSTRAINT; Schema: kernel; Owner: -
--

ALTER TABLE ONLY kernel.notice
    ADD CONSTRAINT notice_dedupe_key UNIQUE (dedupe);


--
-- Name: notice notice_pkey; Type: CONSTRAINT; Schema: kernel; Owner: -
--

ALTER TABLE ONLY kernel.notice
    ADD CONSTRAINT notice_pkey PRIMARY KEY (id);


--
-- Name: notice_read notice_read_pkey; Type: CONSTRAINT; Schema: kernel; Owner: -
--

ALTER TABLE ONLY kernel.notice_read
    ADD CONSTRAINT notice_read_pkey PRIMARY KEY (notice_id, person_id);


--
-- Name: account account_owner_asset_kind_name_key; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.account
    ADD CONSTRAINT account_owner_asset_kind_name_key UNIQUE (owner, asset, kind, name);


--
-- Name: account account_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (id);


--
-- Name: counter counter_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.counter
    ADD CONSTRAINT counter_pkey PRIMARY KEY (scope, name, win);


--
-- Name: hold hold_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.hold
    ADD CONSTRAINT hold_pkey PRIMARY KEY (id);


--
-- Name: lease_lot lease_lot_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.lease_lot
    ADD CONSTRAINT lease_lot_pkey PRIMARY KEY (epoch, lot);


--
-- Name: lease lease_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (epoch);


--
-- Name: lot lot_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.lot
    ADD CONSTRAINT lot_pkey PRIMARY KEY (id);


--
-- Name: period_balance period_balance_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.period_balance
    ADD CONSTRAINT period_balance_pkey PRIMARY KEY (closed_through, account);


--
-- Name: period period_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.period
    ADD CONSTRAINT period_pkey PRIMARY KEY (closed_through);


--
-- Name: posting posting_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.posting
    ADD CONSTRAINT posting_pkey PRIMARY KEY (id);


--
-- Name: posting_transfer posting_transfer_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.posting_transfer
    ADD CONSTRAINT posting_transfer_pkey PRIMARY KEY (posting, ordinal);


--
-- Name: stripe stripe_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.stripe
    ADD CONSTRAINT stripe_pkey PRIMARY KEY (account, worker);


--
-- Name: transfer transfer_pkey; Type: CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.transfer
    ADD CONSTRAINT transfer_pkey PRIMARY KEY (id);


--
-- Name: mandate mandate_org_id_client_ref_key; Type: CONSTRAINT; Schema: payments; Owner: -
--

ALTER TABLE ONLY payments.mandate
    ADD CONSTRAINT mandate_org_id_client_ref_key UNIQUE (org_id, client_ref);


--
-- Name: mandate mandate_pkey; Type: CONSTRAINT; Schema: payments; Owner: -
--

ALTER TABLE ONLY payments.mandate
    ADD CONSTRAINT mandate_pkey PRIMARY KEY (id);


--
-- Name: mandate mandate_provider_provider_ref_key; Type: CONSTRAINT; Schema: payments; Owner: -
--

ALTER TABLE ONLY payments.mandate
    ADD CONSTRAINT mandate_provider_provider_ref_key UNIQUE (provider, provider_ref);


--
-- Name: notification notification_pkey; Type: CONSTRAINT; Schema: payments; Owner: -
--

ALTER TABLE ONLY payments.notification
    ADD CONSTRAINT notification_pkey PRIMARY KEY (provider, nonce);


--
-- Name: order_event order_event_pkey; Type: CONSTRAINT; Schema: payments; Owner: -
--

ALTER TABLE ONLY payments.order_event
    ADD CONSTRAINT order_event_pkey PRIMARY KEY (order_id, ordinal);


--
-- Name: pay_order pay_order_org_id_client_ref_key; Type: CONSTRAINT; Schema: payments; Owner: -
--

ALTER TABLE ONLY payments.pay_order
    ADD CONSTRAINT pay_order_org_id_client_ref_key UNIQUE (org_id, client_ref);


--
-- Name: pay_order pay_order_pkey; Type: CONSTRAINT; Schema: payments; Owner: -
--

ALTER TABLE ONLY payments.pay_order
    ADD CONSTRAINT pay_order_pkey PRIMARY KEY (id);


--
-- Name: pay_order pay_order_provider_provider_ref_key; Type: CONSTRAINT; Schema: payments; Owner: -
--

ALTER TABLE ONLY payments.pay_order
    ADD CONSTRAINT pay_order_provider_provider_ref_key UNIQUE (provider, provider_ref);


--
-- Name: refund refund_order_id_client_ref_key; Type: CONSTRAINT; Schema: payments; Owner: -
--

ALTER TABLE ONLY payments.refund
    ADD CONSTRAINT refund_order_id_client_ref_key UNIQUE (order_id, client_ref);


--
-- Name: refund refund_pkey; Type: CONSTRAINT; Schema: payments; Owner: -
--

ALTER TABLE ONLY payments.refund
    ADD CONSTRAINT refund_pkey PRIMARY KEY (id);


--
-- Name: sandbox_mandate sandbox_mandate_mandate_id_key; Type: CONSTRAINT; Schema: payments; Owner: -
--

ALTER TABLE ONLY payments.sandbox_mandate
    ADD CONSTRAINT sandbox_mandate_mandate_id_key UNIQUE (mandate_id);


--
-- Name: sandbox_mandate sandbox_mandate_pkey; Type: CONSTRAINT; Schema: payments; Owner: -
--

ALTER TABLE ONLY payments.sandbox_mandate
    ADD CONSTRAINT sandbox_mandate_pkey PRIMARY KEY (ref);


--
-- Name: sandbox_notice sandbox_notice_pkey; Type: CONSTRAINT; Schema: payments; Owner: -
--

ALTER TABLE ONLY payments.sandbox_notice
    ADD CONSTRAINT sandbox_notice_pkey PRIMARY KEY (id);


--
-- Name: sandbox_payment sandbox_payment_order_id_key; Type: CONSTRAINT; Schema: payments; Owner: -
--

ALTER TABLE ONLY payments.sandbox_payment
    ADD CONSTRAINT sandbox_payment_order_id_key UNIQUE (order_id);


--
-- Name: sandbox_payment sandbox_payment_pkey; Type: CONSTRAINT; Schema: payments; Owner: -
--

ALTER TABLE ONLY payments.sandbox_payment
    ADD CONSTRAINT sandbox_payment_pkey PRIMARY KEY (ref);


--
-- Name: sandbox_refund sandbox_refund_pkey; Type: CONSTRAINT; Schema: payments; Owner: -
--

ALTER TABLE ONLY payments.sandbox_refund
    ADD CONSTRAINT sandbox_refund_pkey PRIMARY KEY (refund_id);


--
-- Name: amendment amendment_ordinal_key; Type: CONSTRAINT; Schema: rulebook; Owner: -
--

ALTER TABLE ONLY rulebook.amendment
    ADD CONSTRAINT amendment_ordinal_key UNIQUE (ordinal);


--
-- Name: amendment amendment_pkey; Type: CONSTRAINT; Schema: rulebook; Owner: -
--

ALTER TABLE ONLY rulebook.amendment
    ADD CONSTRAINT amendment_pkey PRIMARY KEY (id);


--
-- Name: engine_event_at; Type: INDEX; Schema: compute; Owner: -
--

CREATE INDEX engine_event_at ON compute.engine_event USING btree (at DESC);


--
-- Name: price_version_model; Type: INDEX; Schema: compute; Owner: -
--

CREATE INDEX price_version_model ON compute.price_version USING btree (model, valid_from DESC, announced_at DESC);


--
-- Name: alert_due; Type: INDEX; Schema: credits; Owner: -
--

CREATE INDEX alert_due ON credits.alert USING btree (checked_at) WHERE enabled;


--
-- Name: alert_org; Type: INDEX; Schema: credits; Owner: -
--

CREATE INDEX alert_org ON credits.alert USING btree (org_id, id);


--
-- Name: auto_top_up_due; Type: INDEX; Schema: credits; Owner: -
--

CREATE INDEX auto_top_up_due ON credits.auto_top_up USING btree (checked_at) WHERE (enabled AND (purchase_id IS NULL));


--
-- Name: purchase_auto; Type: INDEX; Schema: credits; Owner: -
--

CREATE INDEX purchase_auto ON credits.purchase USING btree (org_id, created_at) WHERE ((source = 'auto'::text) AND (state <> 'closed'::text));


--
-- Name: purchase_one_auto; Type: INDEX; Schema: credits; Owner: -
--

CREATE UNIQUE INDEX purchase_one_auto ON credits.purchase USING btree (org_id) WHERE ((source = 'auto'::text) AND (state = 'open'::text));


--
-- Name: purchase_open; Type: INDEX; Schema: credits; Owner: -
--

CREATE INDEX purchase_open ON credits.purchase USING btree (checked_at) WHERE (state = 'open'::text);


--
-- Name: purchase_org; Type: INDEX; Schema: credits; Owner: -
--

CREATE INDEX purchase_org ON credits.purchase USING btree (org_id, id);


--
-- Name: quote_expiry; Type: INDEX; Schema: credits; Owner: -
--

CREATE INDEX quote_expiry ON credits.quote USING btree (expires_at);


--
-- Name: usage_day_day; Type: INDEX; Schema: gateway; Owner: -
--

CREATE INDEX usage_day_day ON gateway.usage_day USING btree (day);


--
-- Name: api_key_org; Type: INDEX; Schema: identity; Owner: -
--

CREATE INDEX api_key_org ON identity.api_key USING btree (org_id, id);


--
-- Name: api_key_prefix; Type: INDEX; Schema: identity; Owner: -
--

CREATE INDEX api_key_prefix ON identity.api_key USING btree (prefix);


--
-- Name: attempt_since; Type: INDEX; Schema: identity; Owner: -
--

CREATE INDEX attempt_since ON identity.attempt USING btree (since);


--
-- Name: audit_object; Type: INDEX; Schema: identity; Owner: -
--

CREATE INDEX audit_object ON identity.audit USING btree (object, id DESC);


--
-- Name: audit_org; Type: INDEX; Schema: identity; Owner: -
--

CREATE INDEX audit_org ON identity.audit USING btree (org_id, id DESC);


--
-- Name: challenge_expiry; Type: INDEX; Schema: identity; Owner: -
--

CREATE INDEX challenge_expiry ON identity.challenge USING btree (expires_at);


--
-- Name: consent_person; Type: INDEX; Schema: identity; Owner: -
--

CREATE INDEX consent_person ON identity.consent USING btree (person_id, id);


--
-- Name: consent_standing; Type: INDEX; Schema: identity; Owner: -
--

CREATE UNIQUE INDEX consent_standing ON identity.consent USING btree (person_id, purpose) WHERE (withdrawn_at IS NULL);


--
-- Name: leak_key; Type: INDEX; Schema: identity; Owner: -
--

CREATE INDEX leak_key ON identity.leak USING btree (key_id);


--
-- Name: membership_person; Type: INDEX; Schema: identity; Owner: -
--

CREATE INDEX membership_person ON identity.membership USING btree (person_id);


--
-- Name: oidc_flow_expiry; Type: INDEX; Schema: identity; Owner: -
--

CREATE INDEX oidc_flow_expiry ON identity.oidc_flow USING btree (expires_at);


--
-- Name: oidc_subject_person; Type: INDEX; Schema: identity; Owner: -
--

CREATE INDEX oidc_subject_person ON identity.oidc_subject USING btree (person_id);


--
-- Name: passkey_person; Type: INDEX; Schema: identity; Owner: -
--

CREATE INDEX passkey_person ON identity.passkey USING btree (person_id);


--
-- Name: person_key_left; Type: INDEX; Schema: identity; Owner: -
--

CREATE INDEX person_key_left ON identity.person USING btree (id) WHERE ((state = 'erased'::text) AND (key_destroyed_at IS NULL));


--
-- Name: person_phone; Type: INDEX; Schema: identity; Owner: -
--

CREATE INDEX person_phone ON identity.person USING btree (phone_index) WHERE (phone_index IS NOT NULL);


--
-- Name: session_expiry; Type: INDEX; Schema: identity; Owner: -
--

CREATE INDEX session_expiry ON identity.session USING btree (expires_at);


--
-- Name: session_person; Type: INDEX; Schema: identity; Owner: -
--

CREATE INDEX session_person ON identity.session USING btree (person_id) WHERE (revoked_at IS NULL);


--
-- Name: dispatch_due; Type: INDEX; Schema: kernel; Owner: -
--

CREATE INDEX dispatch_due ON kernel.dispatch USING btree (due_at) WHERE (state = 'pending'::text);


--
-- Name: event_due; Type: INDEX; Schema: kernel; Owner: -
--

CREATE INDEX event_due ON kernel.event USING btree (due_at) WHERE (state = 'pending'::text);


--
-- Name: event_old; Type: INDEX; Schema: kernel; Owner: -
--

CREATE INDEX event_old ON kernel.event USING btree (created_at) WHERE (state <> 'pending'::text);


--
-- Name: event_pending; Type: INDEX; Schema: kernel; Owner: -
--

CREATE INDEX event_pending ON kernel.event USING btree (topic, key, seq) WHERE (state = 'pending'::text);


--
-- Name: notice_org; Type: INDEX; Schema: kernel; Owner: -
--

CREATE INDEX notice_org ON kernel.notice USING btree (org_id, created_at DESC);


--
-- Name: notice_person; Type: INDEX; Schema: kernel; Owner: -
--

CREATE INDEX notice_person ON kernel.notice USING btree (person_id, created_at DESC);


--
-- Name: hold_open; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX hold_open ON ledger.hold USING btree (account, expires_at) WHERE (state = 'open'::text);


--
-- Name: lease_account; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX lease_account ON ledger.lease USING btree (account);


--
-- Name: lot_expiry; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX lot_expiry ON ledger.lot USING btree (expires_at) WHERE (open AND (expires_at IS NOT NULL));


--
-- Name: lot_open; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX lot_open ON ledger.lot USING btree (account) WHERE open;


--
-- Name: posting_day; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX posting_day ON ledger.posting USING brin (at);


--
-- Name: posting_reverses; Type: INDEX; Schema: ledger; Owner: -
--

CREATE UNIQUE INDEX posting_reverses ON ledger.posting USING btree (reverses) WHERE (reverses IS NOT NULL);


--
-- Name: transfer_credit; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX transfer_credit ON ledger.transfer USING btree (credit, at);


--
-- Name: transfer_debit; Type: INDEX; Schema: ledger; Owner: -
--

CREATE INDEX transfer_debit ON ledger.transfer USING btree (debit, at);


--
-- Name: pay_order_open; Type: INDEX; Schema: payments; Owner: -
--

CREATE INDEX pay_order_open ON payments.pay_order USING btree (checked_at) WHERE (state = ANY (ARRAY['created'::text, 'pending'::text, 'failed'::text]));


--
-- Name: pay_order_unsettled; Type: INDEX; Schema: payments; Owner: -
--

CREATE INDEX pay_order_unsettled ON payments.pay_order USING btree (purpose, id) WHERE ((settled_at IS NULL) AND (state = ANY (ARRAY['paid'::text, 'refunded'::text, 'expired'::text])));


--
-- Name: sandbox_notice_due; Type: INDEX; Schema: payments; Owner: -
--

CREATE INDEX sandbox_notice_due ON payments.sandbox_notice USING btree (due_at) WHERE (delivered_at IS NULL);


--
-- Name: audit audit_append_only; Type: TRIGGER; Schema: identity; Owner: -
--

CREATE TRIGGER audit_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON identity.audit FOR EACH STATEMENT EXECUTE FUNCTION identity.refuse_change();


--
-- Name: api_key key_changed; Type: TRIGGER; Schema: identity; Owner: -
--

CREATE TRIGGER key_changed AFTER INSERT OR UPDATE ON identity.api_key FOR EACH ROW EXECUTE FUNCTION identity.tell_key();


--
-- Name: organisation organisation_changed; Type: TRIGGER; Schema: identity; Owner: -
--

CREATE TRIGGER organisation_changed AFTER UPDATE ON identity.organisation FOR EACH ROW WHEN (((old.state IS DISTINCT FROM new.state) OR (old.data_class IS DISTINCT FROM new.data_class))) EXECUTE FUNCTION identity.tell_organisation();


--
-- Name: posting append_only; Type: TRIGGER; Schema: ledger; Owner: -
--

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.posting FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();


--
-- Name: transfer append_only; Type: TRIGGER; Schema: ledger; Owner: -
--

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.transfer FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();


--
-- Name: lot guard_lineage; Type: TRIGGER; Schema: ledger; Owner: -
--

CREATE TRIGGER guard_lineage BEFORE INSERT ON ledger.lot FOR EACH ROW WHEN ((new.parent IS NOT NULL)) EXECUTE FUNCTION ledger.guard_lineage();


--
-- Name: pay_order guard; Type: TRIGGER; Schema: payments; Owner: -
--

CREATE TRIGGER guard BEFORE UPDATE ON payments.pay_order FOR EACH ROW EXECUTE FUNCTION payments.guard_order();


--
-- Name: amendment amendment_is_append_only; Type: TRIGGER; Schema: rulebook; Owner: -
--

CREATE TRIGGER amendment_is_append_only BEFORE DELETE OR UPDATE ON rulebook.amendment FOR EACH ROW EXECUTE FUNCTION rulebook.refuse_change();


--
-- Name: amendment amendment_is_not_truncated; Type: TRIGGER; Schema: rulebook; Owner: -
--

CREATE TRIGGER amendment_is_not_truncated BEFORE TRUNCATE ON rulebook.amendment FOR EACH STATEMENT EXECUTE FUNCTION rulebook.refuse_change();


--
-- Name: engine_model engine_model_engine_id_fkey; Type: FK CONSTRAINT; Schema: compute; Owner: -
--

ALTER TABLE ONLY compute.engine_model
    ADD CONSTRAINT engine_model_engine_id_fkey FOREIGN KEY (engine_id) REFERENCES compute.engine(id) ON DELETE CASCADE;


--
-- Name: engine_model engine_model_model_fkey; Type: FK CONSTRAINT; Schema: compute; Owner: -
--

ALTER TABLE ONLY compute.engine_model
    ADD CONSTRAINT engine_model_model_fkey FOREIGN KEY (model) REFERENCES compute.model(id);


--
-- Name: price price_version_id_fkey; Type: FK CONSTRAINT; Schema: compute; Owner: -
--

ALTER TABLE ONLY compute.price
    ADD CONSTRAINT price_version_id_fkey FOREIGN KEY (version_id) REFERENCES compute.price_version(id) ON DELETE CASCADE;


--
-- Name: price_version price_version_model_fkey; Type: FK CONSTRAINT; Schema: compute; Owner: -
--

ALTER TABLE ONLY compute.price_version
    ADD CONSTRAINT price_version_model_fkey FOREIGN KEY (model) REFERENCES compute.model(id);


--
-- Name: alert_firing alert_firing_alert_id_fkey; Type: FK CONSTRAINT; Schema: credits; Owner: -
--

ALTER TABLE ONLY credits.alert_firing
    ADD CONSTRAINT alert_firing_alert_id_fkey FOREIGN KEY (alert_id) REFERENCES credits.alert(id) ON DELETE CASCADE;


--
-- Name: auto_top_up auto_top_up_purchase_id_fkey; Type: FK CONSTRAINT; Schema: credits; Owner: -
--

ALTER TABLE ONLY credits.auto_top_up
    ADD CONSTRAINT auto_top_up_purchase_id_fkey FOREIGN KEY (purchase_id) REFERENCES credits.purchase(id);


--
-- Name: api_key api_key_created_by_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.api_key
    ADD CONSTRAINT api_key_created_by_fkey FOREIGN KEY (created_by) REFERENCES identity.person(id);


--
-- Name: api_key api_key_org_id_department_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.api_key
    ADD CONSTRAINT api_key_org_id_department_id_fkey FOREIGN KEY (org_id, department_id) REFERENCES identity.department(org_id, id);


--
-- Name: api_key api_key_org_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.api_key
    ADD CONSTRAINT api_key_org_id_fkey FOREIGN KEY (org_id) REFERENCES identity.organisation(id);


--
-- Name: api_key api_key_successor_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.api_key
    ADD CONSTRAINT api_key_successor_id_fkey FOREIGN KEY (successor_id) REFERENCES identity.api_key(id);


--
-- Name: category category_person_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.category
    ADD CONSTRAINT category_person_id_fkey FOREIGN KEY (person_id) REFERENCES identity.person(id);


--
-- Name: challenge challenge_person_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.challenge
    ADD CONSTRAINT challenge_person_id_fkey FOREIGN KEY (person_id) REFERENCES identity.person(id);


--
-- Name: city_role city_role_person_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.city_role
    ADD CONSTRAINT city_role_person_id_fkey FOREIGN KEY (person_id) REFERENCES identity.person(id);


--
-- Name: consent consent_person_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.consent
    ADD CONSTRAINT consent_person_id_fkey FOREIGN KEY (person_id) REFERENCES identity.person(id);


--
-- Name: department department_org_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.department
    ADD CONSTRAINT department_org_id_fkey FOREIGN KEY (org_id) REFERENCES identity.organisation(id);


--
-- Name: leak leak_key_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.leak
    ADD CONSTRAINT leak_key_id_fkey FOREIGN KEY (key_id) REFERENCES identity.api_key(id);


--
-- Name: membership membership_org_id_department_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.membership
    ADD CONSTRAINT membership_org_id_department_id_fkey FOREIGN KEY (org_id, department_id) REFERENCES identity.department(org_id, id);


--
-- Name: membership membership_org_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.membership
    ADD CONSTRAINT membership_org_id_fkey FOREIGN KEY (org_id) REFERENCES identity.organisation(id);


--
-- Name: membership membership_person_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.membership
    ADD CONSTRAINT membership_person_id_fkey FOREIGN KEY (person_id) REFERENCES identity.person(id);


--
-- Name: oidc_subject oidc_subject_person_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.oidc_subject
    ADD CONSTRAINT oidc_subject_person_id_fkey FOREIGN KEY (person_id) REFERENCES identity.person(id);


--
-- Name: organisation organisation_person_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.organisation
    ADD CONSTRAINT organisation_person_id_fkey FOREIGN KEY (person_id) REFERENCES identity.person(id);


--
-- Name: passkey passkey_person_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.passkey
    ADD CONSTRAINT passkey_person_id_fkey FOREIGN KEY (person_id) REFERENCES identity.person(id);


--
-- Name: password password_person_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.password
    ADD CONSTRAINT password_person_id_fkey FOREIGN KEY (person_id) REFERENCES identity.person(id);


--
-- Name: recovery_code recovery_code_person_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.recovery_code
    ADD CONSTRAINT recovery_code_person_id_fkey FOREIGN KEY (person_id) REFERENCES identity.person(id);


--
-- Name: session session_org_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.session
    ADD CONSTRAINT session_org_id_fkey FOREIGN KEY (org_id) REFERENCES identity.organisation(id);


--
-- Name: session session_person_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.session
    ADD CONSTRAINT session_person_id_fkey FOREIGN KEY (person_id) REFERENCES identity.person(id);


--
-- Name: totp totp_person_id_fkey; Type: FK CONSTRAINT; Schema: identity; Owner: -
--

ALTER TABLE ONLY identity.totp
    ADD CONSTRAINT totp_person_id_fkey FOREIGN KEY (person_id) REFERENCES identity.person(id);


--
-- Name: dispatch dispatch_notice_id_fkey; Type: FK CONSTRAINT; Schema: kernel; Owner: -
--

ALTER TABLE ONLY kernel.dispatch
    ADD CONSTRAINT dispatch_notice_id_fkey FOREIGN KEY (notice_id) REFERENCES kernel.notice(id) ON DELETE CASCADE;


--
-- Name: notice_read notice_read_notice_id_fkey; Type: FK CONSTRAINT; Schema: kernel; Owner: -
--

ALTER TABLE ONLY kernel.notice_read
    ADD CONSTRAINT notice_read_notice_id_fkey FOREIGN KEY (notice_id) REFERENCES kernel.notice(id) ON DELETE CASCADE;


--
-- Name: lease_lot lease_lot_epoch_fkey; Type: FK CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.lease_lot
    ADD CONSTRAINT lease_lot_epoch_fkey FOREIGN KEY (epoch) REFERENCES ledger.lease(epoch) ON DELETE CASCADE;


--
-- Name: period_balance period_balance_closed_through_fkey; Type: FK CONSTRAINT; Schema: ledger; Owner: -
--

ALTER TABLE ONLY ledger.period_balance
    ADD CONSTRAINT period_balance_closed_through_fkey FOREIGN KEY (closed_through) REFERENCES ledger.period(closed_through);


--
-- Name: order_event order_event_order_id_fkey; Type: FK CONSTRAINT; Schema: payments; Owner: -
--

ALTER TABLE ONLY payments.order_event
    ADD CONSTRAINT order_event_order_id_fkey FOREIGN KEY (order_id) REFERENCES payments.pay_order(id);


--
-- Name: pay_order pay_order_mandate_id_fkey; Type: FK CONSTRAINT; Schema: payments; Owner: -
--

ALTER TABLE ONLY payments.pay_order
    ADD CONSTRAINT pay_order_mandate_id_fkey FOREIGN KEY (mandate_id) REFERENCES payments.mandate(id);


--
-- Name: refund refund_order_id_fkey; Type: FK CONSTRAINT; Schema: payments; Owner: -
--

ALTER TABLE ONLY payments.refund
    ADD CONSTRAINT refund_order_id_fkey FOREIGN KEY (order_id) REFERENCES payments.pay_order(id);


--
-- Name: TABLE transfer; Type: ACL; Schema: ledger; Owner: -
--

REVOKE ALL ON TABLE ledger.transfer FROM shanhe;
GRANT SELECT,INSERT,REFERENCES,TRIGGER,MAINTAIN ON TABLE ledger.transfer TO shanhe;


--
-- Name: TABLE posting; Type: ACL; Schema: ledger; Owner: -
--

REVOKE ALL ON TABLE ledger.posting FROM shanhe;
GRANT SELECT,INSERT,REFERENCES,TRIGGER,MAINTAIN ON TABLE ledger.posting TO shanhe;


--
-- PostgreSQL database dump complete
--

\unrestrict Wrez0Sal5E79v9v4ZzKfmjHw439g6fzU2SeJu8nVBMRABtBWlABqQHvG2IpqPDA


-- A run has one budget for all that it sets going. `taken_micro`: what is spent of it or set aside, by its steps and by
-- the runs that are steps of it; `held_micro`: what is set aside of that, by calls under way.
ALTER TABLE workflows.run
  ADD COLUMN taken_micro bigint NOT NULL DEFAULT 0,
  ADD COLUMN held_micro bigint NOT NULL DEFAULT 0;
ALTER TABLE workflows.step
  ADD COLUMN held_micro bigint NOT NULL DEFAULT 0 CHECK (held_micro >= 0),
  ADD COLUMN agent_run uuid;                         -- of a step that asks an agent: that run's id

DO $$
BEGIN
  FOR d IN REVERSE 3..0 LOOP
    UPDATE workflows.run r SET taken_micro = least(r.budget_micro, r.paid_micro + coalesce(
        (SELECT sum(p.taken_micro) FROM workflows.run p WHERE p.parent = r.id AND (p.ended_at IS NULL
           OR NOT EXISTS (SELECT FROM workflows.step s
                           WHERE s.run = p.parent AND s.n = p.parent_n AND s.state IN ('done', 'failed')))),
        0))
      WHERE r.depth = d;
  END LOOP;
END $$;
ALTER TABLE workflows.run ADD CONSTRAINT run_budget
  CHECK (held_micro BETWEEN 0 AND taken_micro AND taken_micro <= budget_micro);

-- A run and those that it is inside of, locked, from the inside out, as whoever ends a run locks them.
CREATE FUNCTION workflows.locked_up(p_run uuid) RETURNS SETOF workflows.run LANGUAGE plpgsql AS $$
DECLARE r workflows.run;
BEGIN
  WHILE p_run IS NOT NULL LOOP
    SELECT * INTO r FROM workflows.run WHERE id = p_run FOR UPDATE;
    EXIT WHEN NOT FOUND;
    RETURN NEXT r;
    p_run := r.parent;
  END LOOP;
END $$;

-- Sets so much aside for a step, of its run and of all that this is inside of, where it is there. `hope`: what there
-- would be if all that is set aside came back; nothing is hoped for where the end was asked for.
CREATE FUNCTION workflows.hold(p_run uuid, p_n int, p_micro bigint, OUT done boolean, OUT free bigint, OUT hope bigint)
LANGUAGE plpgsql AS $$
DECLARE up uuid[]; ending boolean;
BEGIN
  SELECT array_agg(id), min(budget_micro - taken_micro), min(budget_micro - taken_micro + held_micro),
         bool_or(cancel_at IS NOT NULL OR ended_at IS NOT NULL)
    INTO up, free, hope, ending FROM workflows.locked_up(p_run);
  IF ending THEN
    hope := free;
  END IF;
  done := free >= p_micro;
  IF done THEN
    UPDATE workflows.step SET held_micro = held_micro + p_micro
      WHERE run = p_run AND n = p_n AND state IN ('begun', 'answered');
    done := FOUND;
    IF NOT done THEN
      free := 0; hope := 0;
      RETURN;
    END IF;
    UPDATE workflows.run SET taken_micro = taken_micro + p_micro, held_micro = held_micro + p_micro WHERE id = ANY (up);
  END IF;
END $$;

-- What a step had set aside is booked: `p_held` of it (none: all that is left), at what was paid of that (none: all).
CREATE FUNCTION workflows.settle(p_run uuid, p_n int, p_held bigint, p_paid bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE up uuid[]; held bigint; back bigint;
BEGIN
  PERFORM FROM workflows.step WHERE run = p_run AND n = p_n AND held_micro > 0;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  SELECT array_agg(id) INTO up FROM workflows.locked_up(p_run);
  SELECT coalesce(p_held, held_micro) INTO held FROM workflows.step
    WHERE run = p_run AND n = p_n AND held_micro >= coalesce(p_held, 1) FOR UPDATE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  back := held - least(held, coalesce(p_paid, held));
  UPDATE workflows.step SET held_micro = held_micro - held WHERE run = p_run AND n = p_n;
  UPDATE workflows.run SET taken_micro = taken_micro - back, held_micro = held_micro - held WHERE id = ANY (up);
END $$;

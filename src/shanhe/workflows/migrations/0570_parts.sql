-- A step may call a tool, or run another workflow: a run that is a step of another one names it.
ALTER TABLE workflows.step DROP CONSTRAINT step_kind_check;
ALTER TABLE workflows.step ADD CONSTRAINT step_kind_check
  CHECK (kind IN ('ask', 'tool', 'workflow', 'branch', 'loop', 'approval', 'code', 'http', 'set', 'output'));
ALTER TABLE workflows.run DROP CONSTRAINT run_source_check;
ALTER TABLE workflows.run ADD CONSTRAINT run_source_check
  CHECK (source IN ('hand', 'schedule', 'webhook', 'workflow'));
ALTER TABLE workflows.run
  ADD COLUMN parent uuid,
  ADD COLUMN parent_n int,
  ADD COLUMN depth int NOT NULL DEFAULT 0 CHECK (depth BETWEEN 0 AND 3),
  ADD CONSTRAINT run_part CHECK ((source = 'workflow') = (parent IS NOT NULL) AND (parent IS NULL) = (parent_n IS NULL)
                                 AND (parent IS NULL) = (depth = 0));
CREATE INDEX run_parent ON workflows.run (parent) WHERE parent IS NOT NULL;

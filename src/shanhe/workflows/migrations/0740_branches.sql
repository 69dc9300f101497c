-- Branches of a run go on at once. A step says in which it lies.
ALTER TABLE workflows.step DROP CONSTRAINT step_kind_check;
ALTER TABLE workflows.step ADD CONSTRAINT step_kind_check CHECK (kind IN
  ('ask', 'knowledge', 'tool', 'workflow', 'branch', 'parallel', 'loop', 'approval', 'code', 'http', 'set', 'output'));
ALTER TABLE workflows.step ADD COLUMN branch text NOT NULL DEFAULT '';

-- A step may look things up in knowledge bases. A workflow that was deleted leaves its name; its runs stay until they
-- are purged.
ALTER TABLE workflows.step DROP CONSTRAINT step_kind_check;
ALTER TABLE workflows.step ADD CONSTRAINT step_kind_check CHECK (kind IN
  ('ask', 'knowledge', 'tool', 'workflow', 'branch', 'loop', 'approval', 'code', 'http', 'set', 'output'));
ALTER TABLE workflows.workflow
  ADD COLUMN deleted_at timestamptz,
  ADD COLUMN deleted_by text NOT NULL DEFAULT '',
  ADD CHECK ((deleted_at IS NULL) = (deleted_by = '')),
  DROP CONSTRAINT workflow_org_id_slug_key;
CREATE UNIQUE INDEX workflow_slug ON workflows.workflow (org_id, slug) WHERE deleted_at IS NULL;

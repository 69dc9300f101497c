-- Notices for the operators, who open their inbox among everybody's.
CREATE INDEX notice_operators ON kernel.notice (created_at DESC, id DESC) WHERE org_id IS NULL AND person_id IS NULL;

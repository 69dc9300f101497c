-- Who named the owner of a difference. '' is from before it was recorded.
ALTER TABLE reconcile.difference ADD COLUMN assigned_by text;
UPDATE reconcile.difference SET assigned_by = '' WHERE state = 'assigned';
ALTER TABLE reconcile.difference ADD CONSTRAINT difference_assigned_by_somebody
  CHECK (state <> 'assigned' OR assigned_by IS NOT NULL);

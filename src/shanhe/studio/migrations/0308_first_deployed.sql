-- When a model first answered under its name: it may leave and come back, and only the first time says which was before.
ALTER TABLE studio.model ADD COLUMN first_deployed_at timestamptz;
UPDATE studio.model SET first_deployed_at = deployed_at WHERE state IN ('deployed', 'retired');

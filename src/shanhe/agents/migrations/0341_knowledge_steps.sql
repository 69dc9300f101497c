-- A run looks its question up in knowledge bases before the model is called: a step with its cost.
ALTER TABLE agents.step DROP CONSTRAINT step_kind_check;
ALTER TABLE agents.step ADD CONSTRAINT step_kind_check CHECK (kind IN ('model', 'tool', 'knowledge'));

-- Clones and alliances are run like agents: a clone's answer within an alliance is a run of its own, part of another.
ALTER TABLE agents.run ADD COLUMN parent uuid;
CREATE INDEX run_parent ON agents.run (parent) WHERE parent IS NOT NULL;
ALTER TABLE agents.step DROP CONSTRAINT step_kind_check;
ALTER TABLE agents.step ADD CONSTRAINT step_kind_check CHECK (kind IN ('model', 'tool', 'knowledge', 'clone'));

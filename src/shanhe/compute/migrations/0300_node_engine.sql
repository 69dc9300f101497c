-- Nodes of the pool are engines, too: reached through the tunnel that each keeps to this city.
ALTER TABLE compute.engine DROP CONSTRAINT engine_kind_check;
ALTER TABLE compute.engine ADD CONSTRAINT engine_kind_check CHECK (kind IN ('llama', 'openai', 'node'));

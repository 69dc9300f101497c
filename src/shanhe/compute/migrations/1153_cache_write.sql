-- What upstreams write to a cache of theirs has a cost and a price of its own; until somebody says so, those of input.
ALTER TABLE compute.engine_model ADD COLUMN cost_cache_write bigint NOT NULL DEFAULT 0 CHECK (cost_cache_write >= 0);
UPDATE compute.engine_model SET cost_cache_write = cost_input;
ALTER TABLE compute.engine_model ALTER COLUMN cost_cache_write DROP DEFAULT;
ALTER TABLE compute.price DROP CONSTRAINT price_bucket_check;
ALTER TABLE compute.price ADD CONSTRAINT price_bucket_check
  CHECK (bucket IN ('input', 'cached_input', 'output', 'reasoning', 'tool', 'cache_write'));

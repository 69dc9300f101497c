-- What upstreams write to a cache of theirs is a bucket of its own: it costs more than what is only read.
ALTER TABLE gateway.usage_day ADD COLUMN cache_write bigint NOT NULL DEFAULT 0;
ALTER TABLE gateway.tag_day ADD COLUMN cache_write bigint NOT NULL DEFAULT 0;
ALTER TABLE gateway.usage_day ADD CONSTRAINT usage_day_cache_write_check CHECK (cache_write >= 0) NOT VALID;
ALTER TABLE gateway.tag_day ADD CONSTRAINT tag_day_cache_write_check CHECK (cache_write >= 0) NOT VALID;

ALTER TABLE gateway.usage_day VALIDATE CONSTRAINT usage_day_cache_write_check;
ALTER TABLE gateway.tag_day VALIDATE CONSTRAINT tag_day_cache_write_check;

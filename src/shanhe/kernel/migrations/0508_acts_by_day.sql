-- A day's acts.
CREATE INDEX CONCURRENTLY act_at ON kernel.act (at);

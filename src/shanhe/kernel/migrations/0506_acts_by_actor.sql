-- What one person did, newest first.
CREATE INDEX CONCURRENTLY act_actor ON kernel.act (actor, id DESC);

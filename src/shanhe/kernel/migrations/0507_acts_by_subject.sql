-- What was done to one thing, whatever the record calls its kind.
CREATE INDEX CONCURRENTLY act_subject ON kernel.act (substr(object, strpos(object, ':') + 1), id DESC);

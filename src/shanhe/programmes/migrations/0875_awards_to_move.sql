-- What can move, looked for every minute among the awards of all years.
CREATE INDEX CONCURRENTLY application_to_commit ON programmes.application (id)
 WHERE state IN ('approved', 'waiting_budget');

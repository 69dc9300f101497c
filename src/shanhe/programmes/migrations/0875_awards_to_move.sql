-- What can move, looked for every minute among the awards of all years.
CREATE INDEX application_to_commit ON programmes.application (id) WHERE state IN ('approved', 'waiting_budget');
CREATE INDEX tranche_to_pay ON programmes.tranche (application) WHERE state = 'due';

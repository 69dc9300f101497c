-- What is to be paid, looked for every minute among the tranches of all years.
CREATE INDEX CONCURRENTLY tranche_to_pay ON programmes.tranche (application) WHERE state = 'due';

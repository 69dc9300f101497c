-- What may still be set aside for nothing, looked for every minute among the tranches of all years.
CREATE INDEX CONCURRENTLY tranche_to_free ON programmes.tranche (application)
 WHERE state = 'cancelled' AND NOT freed AND reason <> 'nothing_due';

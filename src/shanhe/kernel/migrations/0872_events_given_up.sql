-- Events that were given up: few, and counted every minute among a month's.
CREATE INDEX CONCURRENTLY event_failed ON kernel.event (seq DESC) WHERE state = 'failed';

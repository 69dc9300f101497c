-- A booking that was cancelled before it was posted is posted and reversed: whoever booked it may just be posting it.
DROP INDEX incubator.booking_unposted;
CREATE INDEX booking_unsettled ON incubator.booking (id) WHERE NOT posted OR (state = 'cancelled' AND NOT reversed);
ALTER TABLE incubator.booking ADD CONSTRAINT booking_reversed CHECK (NOT reversed OR (posted AND state = 'cancelled'));

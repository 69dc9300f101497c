-- Whether it is certain that nothing is set aside any more for a tranche that was cancelled. Of those cancelled before
-- this, each is looked at once.
ALTER TABLE programmes.tranche ADD COLUMN freed boolean NOT NULL DEFAULT false;

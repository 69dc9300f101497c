-- What a judge is to look at, in the words of whoever ordered the job; sealed where that is a person.
ALTER TABLE studio.job ADD COLUMN rubric text NOT NULL DEFAULT '';

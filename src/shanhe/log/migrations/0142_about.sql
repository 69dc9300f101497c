-- Whom an entry is about, so that what it hides can be forgotten with a person.
CREATE TABLE log.about (
  party   uuid NOT NULL,
  subject uuid NOT NULL,
  PRIMARY KEY (party, subject)
);

-- Uploads as pieces, where every machine of a city reads them. Whoever keeps one has a row of its own with id, size and
-- hash; what is a person's comes sealed.
CREATE TABLE kernel.blob (
  id     uuid NOT NULL,
  number integer NOT NULL CHECK (number >= 0),
  piece  bytea NOT NULL CHECK (octet_length(piece) <= 1048576),
  PRIMARY KEY (id, number)
);

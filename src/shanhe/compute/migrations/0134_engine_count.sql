-- What engines themselves say they have processed: their own counters, read often, summed by the city's day. Independent of
-- what the gateway metered, so that the two can be compared.
CREATE TABLE compute.engine_counter (
  engine     text PRIMARY KEY,
  prompt     bigint NOT NULL CHECK (prompt >= 0),
  completion bigint NOT NULL CHECK (completion >= 0),
  read_at    timestamptz NOT NULL
);
CREATE TABLE compute.engine_count (
  day        date NOT NULL,
  engine     text NOT NULL,
  prompt     bigint NOT NULL CHECK (prompt >= 0),
  completion bigint NOT NULL CHECK (completion >= 0),
  restarts   integer NOT NULL DEFAULT 0,
  PRIMARY KEY (day, engine)
);

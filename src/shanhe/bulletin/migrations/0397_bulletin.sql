-- What the city was told, week by week, as it was said then. Nothing of a person.
CREATE SCHEMA bulletin;

CREATE TABLE bulletin.issue (
  day     date PRIMARY KEY,
  since   date NOT NULL CHECK (since < day),
  items   jsonb NOT NULL CHECK (jsonb_typeof(items) = 'array'),
  talk    jsonb NOT NULL CHECK (jsonb_typeof(talk) = 'array'),
  cut     int NOT NULL CHECK (cut >= 0),
  made_at timestamptz NOT NULL
);

-- Which content of each rule the transparency log showed last: a release of the program changes rules too, and so does a day.
CREATE TABLE rulebook.shown (
  rule_id  text PRIMARY KEY,
  version  text NOT NULL,
  shown_at timestamptz NOT NULL
);

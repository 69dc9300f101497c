-- Further names of models: what clients have built in, or what stays the same when the model behind it changes.
-- A name that was given up keeps its row, which says by whom.
CREATE TABLE compute.alias (
  name        text        PRIMARY KEY,
  model       text        REFERENCES compute.model,
  changed_by  text        NOT NULL,
  changed_at  timestamptz NOT NULL,
  CHECK (name <> model)
);

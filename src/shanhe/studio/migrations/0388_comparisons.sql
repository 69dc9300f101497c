-- Two models of a name on the same questions, which neither of them learnt from. Counts only: no text of anybody.
CREATE TABLE studio.comparison (
  model_id      uuid NOT NULL REFERENCES studio.model,
  against_id    uuid NOT NULL REFERENCES studio.model,
  job_id        uuid NOT NULL REFERENCES studio.job,
  asked         integer NOT NULL CHECK (asked > 0),
  base_right    integer NOT NULL CHECK (base_right BETWEEN 0 AND asked),
  model_right   integer NOT NULL CHECK (model_right BETWEEN 0 AND asked),
  against_right integer NOT NULL CHECK (against_right BETWEEN 0 AND asked),
  gained        integer NOT NULL CHECK (gained >= 0),   -- right by the model and wrong by the other
  lost          integer NOT NULL CHECK (lost >= 0),
  made_at       timestamptz NOT NULL,
  PRIMARY KEY (model_id, against_id),
  CHECK (model_id <> against_id),
  CHECK (model_right - against_right = gained - lost AND gained + lost <= asked)
);
CREATE INDEX comparison_against ON studio.comparison (against_id);

-- Names and notes of a person's data sets are sealed with their key; the application compares names and checks lengths.
ALTER TABLE datasets.dataset
  DROP CONSTRAINT dataset_name_check, DROP CONSTRAINT dataset_licence_check, DROP CONSTRAINT dataset_note_check;
ALTER TABLE datasets.dataset
  ADD CONSTRAINT dataset_name_check CHECK (length(name) BETWEEN 1 AND 2000),
  ADD CONSTRAINT dataset_licence_check CHECK (length(licence) BETWEEN 1 AND 2000),
  ADD CONSTRAINT dataset_note_check CHECK (length(note) <= 10000);

-- Rows of versions from before were kept in plain; each is looked at once. What comes from now on is sealed as it comes.
ALTER TABLE datasets.version ADD COLUMN looked_at boolean NOT NULL DEFAULT false;
ALTER TABLE datasets.version ALTER COLUMN looked_at SET DEFAULT true;
CREATE INDEX version_unlooked ON datasets.version (id) WHERE NOT looked_at;

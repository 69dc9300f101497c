-- A run that tries one node of a draft alone names it.
ALTER TABLE workflows.run ADD COLUMN node text NOT NULL DEFAULT '';

-- A model may be destroyed: its files are gone, what it was measured at stays.
ALTER TABLE studio.model DROP CONSTRAINT model_state_check;
ALTER TABLE studio.model ADD CONSTRAINT model_state_check
  CHECK (state IN ('ready', 'trial', 'deployed', 'retired', 'destroyed'));

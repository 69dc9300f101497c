-- A model may answer a share of the calls to its name while the one before it answers the rest.
ALTER TABLE studio.model DROP CONSTRAINT model_state_check;
ALTER TABLE studio.model ADD CONSTRAINT model_state_check CHECK (state IN ('ready', 'trial', 'deployed', 'retired'));
ALTER TABLE studio.model ADD COLUMN share_bps integer NOT NULL DEFAULT 10000 CHECK (share_bps BETWEEN 1 AND 10000);
CREATE UNIQUE INDEX model_trial ON studio.model (name) WHERE state = 'trial';

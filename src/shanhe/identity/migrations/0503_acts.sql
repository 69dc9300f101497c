-- What was written down of the acts of identity alone is where every module's acts are written down: the table goes to
-- the kernel, which all of them stand on. A process of the version before writes through the view until it has ended.
ALTER TABLE identity.audit SET SCHEMA kernel;
ALTER TABLE kernel.audit RENAME TO act;
ALTER TABLE kernel.act ADD COLUMN door text NOT NULL DEFAULT '',
  ADD CONSTRAINT act_door_is_short CHECK (length(door) <= 200) NOT VALID;
CREATE VIEW identity.audit AS SELECT id, at, actor, action, object, org_id, details FROM kernel.act;

-- Awards whose last tranche was settled by a process that ended before it wrote that they had run their course.
WITH ended AS (
  UPDATE programmes.application a
     SET state = 'completed', changed_at = (SELECT max(changed_at) FROM programmes.tranche WHERE application = a.id)
   WHERE state = 'active' AND EXISTS (SELECT FROM programmes.tranche WHERE application = a.id)
     AND NOT EXISTS (SELECT FROM programmes.tranche WHERE application = a.id AND state NOT IN ('released', 'cancelled'))
  RETURNING id, changed_at)
INSERT INTO programmes.history (application, event, at, actor, details)
SELECT id, 'completed', changed_at, 'system', '{}' FROM ended;

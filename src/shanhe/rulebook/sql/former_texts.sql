SELECT t.rule_hash, t.rule_id, t.source FROM rulebook.text t
WHERE NOT EXISTS (SELECT 1 FROM rulebook.edition e WHERE e.edition = $1 AND e.rule_hash = t.rule_hash)

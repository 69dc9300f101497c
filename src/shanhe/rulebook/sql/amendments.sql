SELECT id, rule_id, content, decided_by, note, sha256 FROM rulebook.amendment ORDER BY ordinal

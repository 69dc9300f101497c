SELECT id, rule_id, content, decided_by, note FROM rulebook.amendment ORDER BY ordinal

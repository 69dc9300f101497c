SELECT a.id, a.rule_id, a.content, a.decided_by, a.note, a.sha256, s.amendment IS NOT NULL AS aside
FROM rulebook.amendment a LEFT JOIN rulebook.set_aside s ON s.amendment = a.id ORDER BY a.ordinal

INSERT INTO rulebook.amendment (id, rule_id, content, sha256, decided_by, note, recorded_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO NOTHING
RETURNING id

INSERT INTO rulebook.set_aside (amendment, decided_by, set_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING amendment

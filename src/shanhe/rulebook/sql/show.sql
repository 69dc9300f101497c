INSERT INTO rulebook.shown (rule_id, version, shown_at)
SELECT u.rule_id, u.version, $3 FROM unnest($1::text[], $2::text[]) u(rule_id, version)
ON CONFLICT (rule_id) DO UPDATE SET version = EXCLUDED.version, shown_at = EXCLUDED.shown_at

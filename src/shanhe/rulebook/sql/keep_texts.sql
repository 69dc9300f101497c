INSERT INTO rulebook.text (rule_hash, rule_id, source, kept_at)
SELECT u.rule_hash, u.rule_id, u.source, $4 FROM unnest($1::text[], $2::text[], $3::jsonb[]) u(rule_hash, rule_id, source)
ORDER BY u.rule_hash
ON CONFLICT (rule_hash) DO NOTHING

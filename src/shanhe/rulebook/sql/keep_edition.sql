INSERT INTO rulebook.edition (edition, rule_hash) SELECT $1, u FROM unnest($2::text[]) u ORDER BY u ON CONFLICT DO NOTHING

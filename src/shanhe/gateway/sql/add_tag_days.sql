-- $1 days, $2 organisations, $3 keys, $4 models, $5 calls, $6..$11 buckets, $12 amounts, $13 tags: add one batch of sums.
-- Sorted, so that two workers never wait for each other in a circle.
INSERT INTO gateway.tag_day AS known (day, org_id, key_id, model, calls, input, cached_input, output, reasoning, tool,
                                     cache_write, amount_micro, tag)
SELECT * FROM unnest($1::date[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
                     $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::uuid[])
         AS fresh (day, org_id, key_id, model, calls, input, cached_input, output, reasoning, tool, cache_write,
                   amount_micro, tag)
 ORDER BY org_id, day, tag, key_id, model
    ON CONFLICT (day, org_id, tag, key_id, model) DO UPDATE
   SET calls = known.calls + EXCLUDED.calls,
       input = known.input + EXCLUDED.input,
       cached_input = known.cached_input + EXCLUDED.cached_input,
       output = known.output + EXCLUDED.output,
       reasoning = known.reasoning + EXCLUDED.reasoning,
       tool = known.tool + EXCLUDED.tool,
       cache_write = known.cache_write + EXCLUDED.cache_write,
       amount_micro = known.amount_micro + EXCLUDED.amount_micro

-- What engines were already able to do, in words that calls now ask for: a tool call that is begun for a small model
-- (Hermes templates, which every model that came with a card has), and the two fields of the text protocol that
-- upstreams were sent unasked.
UPDATE compute.engine SET features = array_append(features, 'hermes_calls')
 WHERE kind = 'llama' AND 'tools' = ANY (features) AND NOT 'hermes_calls' = ANY (features);
UPDATE compute.engine SET features = features || ARRAY['echo', 'suffix']
 WHERE kind = 'openai' AND features @> ARRAY['vision', 'audio', 'file'] AND NOT 'echo' = ANY (features);

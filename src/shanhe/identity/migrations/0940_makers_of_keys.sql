-- A key that was made with a key answers to whoever made that one: it had no maker, and so it could go on doing what its
-- maker no longer may. Who made which is in the record of acts; what the program itself made has none still.
WITH RECURSIVE made AS (
  SELECT CASE action WHEN 'key.create' THEN substring(object FROM 5) ELSE details ->> 'successor' END AS key_id,
         substring(actor FROM 5) AS by_key
    FROM kernel.act WHERE action IN ('key.create', 'key.rotate') AND actor ~ '^key:[0-9a-f-]{36}$'
), line AS (
  SELECT key_id, by_key FROM made
  UNION
  SELECT line.key_id, made.by_key FROM line JOIN made ON made.key_id = line.by_key
)
UPDATE identity.api_key k SET created_by = first.created_by
  FROM line JOIN identity.api_key first ON first.id = line.by_key::uuid AND first.created_by IS NOT NULL
 WHERE k.id = line.key_id::uuid AND k.created_by IS NULL;

-- Items that were explained before an explanation took them out of the books are still in suspense, counted twice in cash
-- and closed to everybody. They are open again, to be ended by what they are, unless somebody reversed their posting.
UPDATE payments.suspense s SET state = 'open', decided_by = NULL, decided_at = NULL, released_at = NULL
 WHERE s.state = 'explained' AND s.released_at IS NOT NULL AND s.explained_by IS NULL
   AND NOT EXISTS (SELECT FROM ledger.posting p WHERE p.reverses = s.id)
   AND NOT EXISTS (SELECT FROM ledger.posting p WHERE p.id =
         (left(s.id::text, 35) || to_hex(('x' || right(s.id::text, 1))::bit(4)::int # 1))::uuid);

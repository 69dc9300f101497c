-- What is withheld of a node is given back, kept by the city, or returned because its call was refunded: decided once, for
-- removed nodes as well. `kept_by` is the posting that makes it the city's.
ALTER TABLE pool.withheld
  ADD COLUMN decided text CHECK (decided IN ('restored', 'kept', 'returned')),
  ADD COLUMN kept_by uuid;
UPDATE pool.withheld SET decided = 'restored' WHERE restored_by IS NOT NULL;
ALTER TABLE pool.withheld ADD CHECK (decided IS NOT NULL OR (kept_by IS NULL AND restored_by IS NULL));

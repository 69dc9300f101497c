ALTER TABLE ledger.lot VALIDATE CONSTRAINT lot_cost;
ALTER TABLE ledger.lot DROP COLUMN unit_cost_fen;

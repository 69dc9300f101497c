ALTER TABLE ledger.hold VALIDATE CONSTRAINT hold_lots_give;

-- Open holds by when they lapse, which is all that anybody asks of them without their ids: `sweep_holds`.
CREATE INDEX CONCURRENTLY hold_due ON ledger.hold (expires_at) WHERE state = 'open';

-- What people write on withdrawals and disputes is sealed with their key, in the same columns.
ALTER TABLE exchange.withdrawal DROP CONSTRAINT withdrawal_payee_check;
ALTER TABLE exchange.withdrawal ADD CONSTRAINT withdrawal_payee_check CHECK (length(payee) BETWEEN 1 AND 4000);
ALTER TABLE exchange.dispute DROP CONSTRAINT dispute_text_check;
ALTER TABLE exchange.dispute ADD CONSTRAINT dispute_text_check CHECK (length(text) BETWEEN 1 AND 10000);

-- What a payer needs to pay an order: the text of a QR code, a link to the institution, or a bank account.
ALTER TABLE payments.pay_order ADD COLUMN details jsonb NOT NULL DEFAULT '{}';

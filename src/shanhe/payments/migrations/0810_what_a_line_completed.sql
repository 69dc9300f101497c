-- The line that completed an order's payment stays its line when what it brought beyond that pays another order.
ALTER TABLE payments.bank_order ADD COLUMN file_hash text, ADD COLUMN row integer,
  ADD FOREIGN KEY (file_hash, row) REFERENCES payments.bank_line;
ALTER TABLE payments.bank_order ADD CONSTRAINT bank_order_line CHECK ((file_hash IS NULL) = (row IS NULL));
UPDATE payments.bank_order o SET file_hash = l.file_hash, row = l.row
  FROM payments.bank_line l WHERE l.order_id = o.order_id AND l.state = 'matched' AND l.direction = 'in';
UPDATE payments.bank_order o SET file_hash = l.file_hash, row = l.row
  FROM payments.bank_line l JOIN payments.suspense s ON (s.file_hash, s.row) = (l.file_hash, l.row)
 WHERE o.file_hash IS NULL AND s.kind = 'over' AND s.order_id = o.order_id AND s.amount_fen < l.amount_fen;

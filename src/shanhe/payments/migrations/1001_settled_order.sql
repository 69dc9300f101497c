-- The sheet of the bank asks which order a posting is of.
CREATE INDEX CONCURRENTLY pay_order_settled ON payments.pay_order (settled_ref) WHERE settled_ref IS NOT NULL;

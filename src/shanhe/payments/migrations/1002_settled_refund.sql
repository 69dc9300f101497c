-- The sheet of the bank asks which refund a posting is of.
CREATE INDEX CONCURRENTLY refund_settled ON payments.refund (settled_ref) WHERE settled_ref IS NOT NULL;

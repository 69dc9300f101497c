-- Why trades of a person are undone is sealed with their key, like their dispute.
ALTER TABLE exchange.remedy DROP CONSTRAINT remedy_reason_check;
ALTER TABLE exchange.remedy ADD CONSTRAINT remedy_reason_check CHECK (length(reason) BETWEEN 1 AND 4000);

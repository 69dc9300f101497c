-- How far the bank's statements reach: asked before a period is closed.
CREATE INDEX bank_line_at ON payments.bank_line (at) WHERE state NOT IN ('duplicate', 'refused');

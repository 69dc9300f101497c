-- What an institution's bill has and could not be used: which row, and why. Only numbers, amounts and times are quoted.
CREATE TABLE payments.bill_problem (
  bill text NOT NULL REFERENCES payments.bill,
  row  integer NOT NULL CHECK (row > 0),
  why  text NOT NULL CHECK (why <> ''),
  PRIMARY KEY (bill, row)
);
CREATE INDEX bill_uploaded ON payments.bill (uploaded_at);

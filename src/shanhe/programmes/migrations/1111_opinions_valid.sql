ALTER TABLE programmes.decision VALIDATE CONSTRAINT decision_kind_check;

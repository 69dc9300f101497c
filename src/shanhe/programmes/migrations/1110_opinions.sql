-- What a reviewer wrote beside a pass that did not end the review: whoever reviews next, and the applicant, read it.
ALTER TABLE programmes.decision DROP CONSTRAINT decision_kind_check;
ALTER TABLE programmes.decision ADD CONSTRAINT decision_kind_check CHECK (kind IN (
  'refusal', 'return', 'grant', 'tranche', 'breach', 'clawback', 'appeal', 'opinion')) NOT VALID;

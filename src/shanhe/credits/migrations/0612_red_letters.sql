-- What of an issued invoice a refund takes back: a red-letter invoice (红字发票) over it, before the money leaves. For a
-- special invoice the tax bureau's confirmation sheet comes first, which the buyer agrees to.
CREATE TABLE credits.red_letter (
  id           uuid PRIMARY KEY,
  invoice_id   uuid NOT NULL REFERENCES credits.invoice,
  refund_id    uuid NOT NULL REFERENCES credits.refund,
  org_id       uuid NOT NULL,
  kind         text NOT NULL CHECK (kind IN ('ordinary', 'special')),
  amount_fen   bigint NOT NULL CHECK (amount_fen > 0),
  state        text NOT NULL CHECK (state IN ('due', 'confirmed', 'issued')),
  sheet        text NOT NULL DEFAULT '',
  number       text NOT NULL DEFAULT '',
  confirmed_by text,
  issued_by    text,
  created_at   timestamptz NOT NULL,
  confirmed_at timestamptz,
  issued_at    timestamptz,
  UNIQUE (invoice_id, refund_id),
  CHECK ((sheet = '') = (confirmed_at IS NULL) AND (confirmed_at IS NULL) = (confirmed_by IS NULL)),
  CHECK ((number = '') = (issued_at IS NULL) AND (issued_at IS NULL) = (issued_by IS NULL)),
  CHECK ((state = 'issued') = (issued_at IS NOT NULL)),
  CHECK (state <> 'confirmed' OR sheet <> ''),
  CHECK (kind = 'ordinary' OR state <> 'issued' OR sheet <> '')
);
CREATE UNIQUE INDEX red_letter_number ON credits.red_letter (number) WHERE number <> '';
CREATE INDEX red_letter_org ON credits.red_letter (org_id, id);
CREATE INDEX red_letter_open ON credits.red_letter (refund_id) WHERE state <> 'issued';
SELECT kernel.watch('credits.red_letter', 'kind, state, confirmed_by, issued_by');

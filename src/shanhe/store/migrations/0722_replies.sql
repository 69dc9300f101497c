-- A maker answers what was said of a listing, once and publicly; words that a complaint was upheld about are struck and stay struck.
ALTER TABLE store.rating
  ADD COLUMN id        uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
  ADD COLUMN struck_at timestamptz;

CREATE TABLE store.reply (
  rating     uuid PRIMARY KEY REFERENCES store.rating (id),   -- one reply a rating; its maker may change it
  org_id     uuid NOT NULL,
  text       text NOT NULL CHECK (length(text) <= 5000),      -- a person's: sealed with their key
  replied_at timestamptz NOT NULL,
  replied_by text NOT NULL,
  struck_at  timestamptz
);
CREATE INDEX reply_org ON store.reply (org_id);

CREATE FUNCTION store.stays_struck() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.struck_at IS NOT NULL AND NEW.struck_at IS NULL
  THEN RAISE EXCEPTION 'words that were struck stay struck' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER stays_struck BEFORE UPDATE ON store.rating FOR EACH ROW EXECUTE FUNCTION store.stays_struck();
CREATE TRIGGER stays_struck BEFORE UPDATE ON store.reply FOR EACH ROW EXECUTE FUNCTION store.stays_struck();

-- Algorithms that generate for the public, interventions in what they said, and complaints about it.
CREATE SCHEMA filings;

CREATE TABLE filings.algorithm (
  id           uuid PRIMARY KEY,
  subject      text NOT NULL UNIQUE CHECK (subject ~ '^(\*|[a-z]{2,10}/[A-Za-z0-9._:/-]{1,120})$'),
  name_zh      text NOT NULL CHECK (length(name_zh) BETWEEN 1 AND 120),
  name_en      text NOT NULL CHECK (length(name_en) BETWEEN 1 AND 120),
  operator     text NOT NULL CHECK (length(operator) BETWEEN 1 AND 120),
  kind         text NOT NULL CHECK (kind IN ('generation', 'recommendation', 'ranking', 'search', 'dispatch')),
  purpose_zh   text NOT NULL CHECK (length(purpose_zh) BETWEEN 1 AND 1000),
  purpose_en   text NOT NULL CHECK (length(purpose_en) BETWEEN 1 AND 1000),
  sources_zh   text NOT NULL CHECK (length(sources_zh) <= 1000),
  sources_en   text NOT NULL CHECK (length(sources_en) <= 1000),
  responsible  uuid,                          -- a person of the city; their name is read where it is shown
  state        text NOT NULL CHECK (state IN ('not_needed', 'preparing', 'filed', 'changed', 'withdrawn')),
  number       text CHECK (length(number) BETWEEN 1 AND 80),
  reason       text NOT NULL DEFAULT '' CHECK (length(reason) <= 500),
  filed_on     date,
  assessed_on  date,                          -- day of the newest safety assessment
  made_by      text NOT NULL,
  made_at      timestamptz NOT NULL,
  changed_at   timestamptz NOT NULL,
  CHECK (state NOT IN ('filed', 'changed') OR (number IS NOT NULL AND filed_on IS NOT NULL)),
  CHECK (state <> 'not_needed' OR length(reason) > 0)
);

CREATE TABLE filings.document (
  id        uuid PRIMARY KEY,
  algorithm uuid NOT NULL REFERENCES filings.algorithm,
  kind      text NOT NULL CHECK (kind IN ('model_card', 'safety_assessment', 'receipt', 'other')),
  title     text NOT NULL CHECK (length(title) BETWEEN 1 AND 120),
  sha256    bytea NOT NULL CHECK (length(sha256) = 32),
  added_by  text NOT NULL,
  added_at  timestamptz NOT NULL,
  UNIQUE (algorithm, kind, sha256)
);

CREATE TABLE filings.history (
  seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  algorithm uuid NOT NULL REFERENCES filings.algorithm,
  was       text NOT NULL,
  becomes   text NOT NULL,
  number    text,
  reason    text NOT NULL,
  actor     text NOT NULL,
  at        timestamptz NOT NULL
);
CREATE INDEX history_algorithm ON filings.history (algorithm, seq);
CREATE FUNCTION filings.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'filings.% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON filings.history
  FOR EACH STATEMENT EXECUTE FUNCTION filings.refuse_change();

CREATE FUNCTION filings.check_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (OLD.state, NEW.state) NOT IN (
    ('preparing', 'filed'), ('preparing', 'not_needed'), ('preparing', 'withdrawn'), ('not_needed', 'preparing'),
    ('filed', 'changed'), ('filed', 'withdrawn'), ('changed', 'filed'), ('changed', 'withdrawn'), ('withdrawn', 'preparing'))
  THEN
    RAISE EXCEPTION 'a filing cannot go from % to %', OLD.state, NEW.state USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER moves BEFORE UPDATE OF state ON filings.algorithm FOR EACH ROW
  WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION filings.check_move();

-- The city's own record: it covers whatever is built upon the models that the city serves, until that has one of its own.
INSERT INTO filings.algorithm VALUES
  ('019a9f00-0000-7000-8000-0000f1110001', '*', '城市模型服务', 'The city''s model service', '本市数字办', 'generation',
   '经统一接口向居民与企业提供文本生成服务', 'Text generation for residents and companies through one interface',
   '公开的开源模型权重；不使用本市个人信息训练', 'Weights of open models; no personal data of this city is trained on',
   NULL, 'preparing', NULL, '', NULL, NULL, 'system', '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');

-- One intervention in what is generated. Whom it met is the payer; the text stays sealed, and only for some days.
CREATE TABLE filings.event (
  id       uuid PRIMARY KEY,
  at       timestamptz NOT NULL,
  day      date NOT NULL,
  surface  text NOT NULL CHECK (length(surface) BETWEEN 1 AND 160),
  model    text NOT NULL CHECK (length(model) <= 160),
  rule     text NOT NULL CHECK (rule ~ '^[a-z][a-z0-9_]{1,62}$'),
  category text NOT NULL CHECK (category IN ('secret', 'personal', 'knowledge', 'address', 'unsupported', 'generated', 'other')),
  decision text NOT NULL CHECK (decision IN ('refused', 'removed', 'declined', 'labelled')),
  run_id   uuid,
  org_id   uuid NOT NULL,
  text_mac bytea,                             -- keyed hash of the text, to find the same one again
  text     text                               -- sealed; gone after the days of the rule
);
CREATE INDEX event_day ON filings.event (day);
CREATE INDEX event_text ON filings.event (day) WHERE text IS NOT NULL;
CREATE INDEX event_org ON filings.event (org_id, id DESC);

CREATE TABLE filings.complaint (
  id          uuid PRIMARY KEY,
  org_id      uuid NOT NULL,
  made_by     text NOT NULL,
  receipt_id  uuid NOT NULL,
  model       text NOT NULL,
  category    text NOT NULL CHECK (category IN ('illegal', 'false', 'personal', 'rights', 'minors', 'unlabelled', 'other')),
  text        text NOT NULL,                  -- sealed
  state       text NOT NULL CHECK (state IN ('open', 'upheld', 'rejected', 'appealed', 'confirmed', 'reversed')),
  made_at     timestamptz NOT NULL,
  due_at      timestamptz NOT NULL,
  decided_by  text,
  decided_at  timestamptz,
  answer      text NOT NULL DEFAULT '',       -- sealed
  appeal_until timestamptz,
  appeal      text NOT NULL DEFAULT '',       -- sealed
  final_by    text,
  final_at    timestamptz,
  final_answer text NOT NULL DEFAULT '',      -- sealed
  told_at     timestamptz,                    -- that it is overdue
  CHECK ((state = 'open') = (decided_at IS NULL)),
  CHECK ((state IN ('confirmed', 'reversed')) = (final_at IS NOT NULL)),
  CHECK (decided_by <> made_by AND final_by <> made_by AND final_by <> decided_by)
);
CREATE INDEX complaint_waiting ON filings.complaint (due_at) WHERE state IN ('open', 'appealed');
CREATE INDEX complaint_org ON filings.complaint (org_id, id DESC);

-- LoRA adapters made here: several share one child, which holds their base once.
ALTER TABLE compute.engine_model ADD COLUMN adapter smallint CHECK (adapter BETWEEN 0 AND 63);

CREATE TABLE compute.adapter (
  engine  text PRIMARY KEY REFERENCES compute.engine (name) ON DELETE CASCADE,
  base    text NOT NULL,                      -- card of the model it was trained on
  file    text NOT NULL CHECK (file ~ '^[a-z0-9][a-z0-9.-]*\.gguf$')
);
CREATE INDEX adapter_base ON compute.adapter (base);

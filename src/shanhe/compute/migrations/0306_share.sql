-- Of the calls to a model, the share that an engine on trial is given; the others answer the rest.
ALTER TABLE compute.engine ADD COLUMN share_bps integer NOT NULL DEFAULT 10000 CHECK (share_bps BETWEEN 1 AND 10000);

-- Why a person's estate is handed over is sealed with their key, and so are the documents that prove it.
ALTER TABLE credits.estate DROP CONSTRAINT estate_reason_check;
ALTER TABLE credits.estate ADD CONSTRAINT estate_reason_check CHECK (length(reason) BETWEEN 1 AND 4000);

-- Names of a person's files are sealed with their key, like what is in them.
ALTER TABLE batches.file DROP CONSTRAINT file_name_check;
ALTER TABLE batches.file ADD CONSTRAINT file_name_check CHECK (length(name) BETWEEN 1 AND 4000);

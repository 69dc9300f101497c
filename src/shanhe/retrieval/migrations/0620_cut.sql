-- How a base's documents are cut into passages, and how each was when it was read: of before, as everything was then.
-- A size counts a Han sign as 1 and any other as 0.4, about the tokens of a multilingual tokenizer.
ALTER TABLE retrieval.base
  ADD COLUMN size      integer NOT NULL DEFAULT 260 CHECK (size BETWEEN 50 AND 1000),
  ADD COLUMN overlap   integer NOT NULL DEFAULT 0,
  ADD COLUMN separator text    NOT NULL DEFAULT '' CHECK (length(separator) <= 20),
  ADD CHECK (overlap BETWEEN 0 AND size / 2);
ALTER TABLE retrieval.document ADD COLUMN cut text NOT NULL DEFAULT '260|0|' CHECK (length(cut) <= 60);

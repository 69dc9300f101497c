-- Which of a notice's readers were reached while others are tried again, by a hash of notice and address; emptied at the end.
ALTER TABLE kernel.dispatch ADD COLUMN reached text[] NOT NULL DEFAULT '{}';

-- Whose matter a request is: where that is one person, what is said of it is sealed with their key.
ALTER TABLE approvals.request ADD COLUMN about uuid;

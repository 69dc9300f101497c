-- Which model the city pays for; empty = the first that the city offers.
ALTER TABLE content.city ADD COLUMN model text NOT NULL DEFAULT '' CHECK (length(model) <= 128);

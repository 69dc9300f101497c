-- What a person's server says of its tools is sealed with their key; the application checks the lengths.
ALTER TABLE mcp.tool DROP CONSTRAINT tool_description_check;
ALTER TABLE mcp.tool ADD CONSTRAINT tool_description_check CHECK (length(description) <= 20000);

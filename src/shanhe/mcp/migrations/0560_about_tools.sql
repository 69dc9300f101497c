-- What a server says of a tool besides its description: title, whether it only reads, what its answers look like.
ALTER TABLE mcp.tool ADD COLUMN about jsonb NOT NULL DEFAULT '{}';

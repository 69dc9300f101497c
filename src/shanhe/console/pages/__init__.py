"""The pages, one file a room of the console."""

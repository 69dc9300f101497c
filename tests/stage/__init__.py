"""Props of the end-to-end tests: an engine that behaves or misbehaves as told, and cities to use it."""

"""Protocol faces: each turns its own request into one chat call for an engine, and the engine's answer back."""

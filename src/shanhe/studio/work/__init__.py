"""What runs in a step's own process: training, surgery on GGUF files, measuring. Needs the extra `studio`."""

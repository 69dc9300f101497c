"""Reading documents in a process of their own: what is run on files of strangers, and nothing else."""

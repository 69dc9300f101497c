"""SQL of identity, a file a noun. Callers hold the transaction and pass the clock's time."""

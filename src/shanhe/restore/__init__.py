"""A city out of its backup: loaded in one transaction, compared with its books, or left saying that it was begun."""

"""A process that imports the program once and forks others out of it: a start without the two seconds of an import.

`orders` is what is said over its socket, `process` the nursery itself, `keeper` the end that a supervisor holds.
"""

"""A process that imports the program once and forks others out of it: a start without the two seconds of an import.

`api` is the end that a supervisor holds, `process` the nursery itself, `orders` what they say to each other.
"""

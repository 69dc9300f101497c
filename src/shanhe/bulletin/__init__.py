"""The weekly bulletin (B15): what 山河小智 tells the city, made from what the rulebook and open programmes say.

An issue says which rules changed since the last one, which will, what opened or closes soon, and lists what is open to
people and to companies. Every sentence is made from a dated record; nobody and no model writes a number.
"""

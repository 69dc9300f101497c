"""What the city says of what generates for the public: a register of algorithms with their filings, records of what
was refused, removed or labelled, and complaints about outputs.

`Register` answers whether something may be published; `Moderation` keeps each intervention, its text sealed and for a
short time; `Complaints` decides what residents report, with an appeal to somebody else.
"""

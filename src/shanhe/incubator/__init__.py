"""The incubator's services (I7): desks, training, mentoring, campaigns, and an adviser for the best (T13), as bookable
resources. A booking is a rule's decision, seats that the database gives away once, and a posting in service units.
"""

"""Digital clones: the consent of the person a clone depicts, what ends with it, and feedback that makes the next one.

What a clone says and how it is run is `agents`', what is offered `store`'s; here is who may be depicted by whom, for
what and until when, the deletion of everything that was made once that ends, and the way from a user's correction to a
reviewed training set (rules T1, T2).
"""

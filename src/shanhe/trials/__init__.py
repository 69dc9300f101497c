"""Evaluation sets of agents: questions with what their answers must hold, and a gate that no worse version passes.

Before a version goes to review its set is run against the draft and against what callers get now; a draft that answers
fewer of them right is refused, unless its maker says why it should go on, which is written down for everybody.
"""

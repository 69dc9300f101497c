"""The studio: a data set in, a tuned, smaller, measured and deployed model out, without a line of code.

A job is a recipe's steps one after the other, each a process of its own with a place in the queue, a loss curve, a
log and a checkpoint; a step that was done before with the same inputs is not done again. Credits are held before and
captured by the CPU time that was used. What trains (torch, transformers, peft, gguf) is an extra and lives in those
processes only.
"""

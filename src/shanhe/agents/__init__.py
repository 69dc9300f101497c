"""Agents: a model with instructions and a bounded set of tools, run in bounded steps, each with its cost.

What an agent is, is data that its maker publishes in the store. A run is a chain of ordinary paid calls: every step
has a receipt, and prompts and answers are not kept. Callers reach it as a model (`agent/<name>`) and over A2A.
"""

"""The registry of open science (T11): data, intermediate results, failures, code and protocols, and who reused them.

What is deposited has authors who agreed to be, a licence and a name for good. A reuse that is confirmed and no matter
among related parties (R0) earns its authors points once, split by their shares (T17).
"""

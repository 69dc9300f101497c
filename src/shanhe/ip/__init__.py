"""The registry of rights: software copyrights, patents, secrets; who holds them, by which shares, at which rate (T16).

A number is registered once. What is verified here is what an award (T15) is given for and what calls pay (T16), split
among its holders by their shares (T17); shares and rate change with the consent of every holder, and nothing is erased
from an entry's history.
"""

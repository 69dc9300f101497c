"""The agent of a node: joins a city, keeps a tunnel to it, and passes calls to the engines of its machine.

Needs no database. It only ever connects outwards; what the city may ask of it is on one page, `agent.link`.
"""

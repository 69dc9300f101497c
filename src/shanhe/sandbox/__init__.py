"""Other people's code, run so that it can do nothing but compute: an empty root, no network, no processes.

Every layer that is asked for must be there, or nothing runs: see `cage`, which is the whole of what stands between the
code and the machine.
"""

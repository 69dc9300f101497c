"""The console: server-rendered pages in Chinese and English for members, operators and the public.

Pages ask a `Desk` (ports.py) for what they show and get frozen view data (model.py); `live/` answers from the modules'
`api` objects. So a page can be drawn, tested and looked at without a database, and no page knows a store.
"""

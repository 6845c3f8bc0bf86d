"""The language server: what an editor asks about a cfg, over JSON-RPC on stdin and stdout.

`wire` cuts the messages, `session` answers them without knowing where they come from, `scan` and `names` find
routes and defines also in text that is half written, `lore` knows the modules.
"""

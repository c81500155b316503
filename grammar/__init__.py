"""The languages mntscope reads, as data: one Lark grammar a language, read through :mod:`importlib.resources`."""

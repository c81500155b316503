"""Results as people and programs read them.

A format is a function ``(result, page) -> text`` (:class:`~mntscope.output.writers.page.Format`); the module of a
result lists its formats by name in ``FORMATS``, the default first. Untrusted text goes through
:func:`~mntscope.output.escape.visible` before a terminal sees it.
"""

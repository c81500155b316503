"""Results as people and programs read them.

A format is a function ``(result, page) -> text`` (:class:`~mntscope.report.page.Format`); the module of a
result lists its formats by name in ``FORMATS``, the default first. Untrusted text goes through
:func:`~mntscope.report.text.visible` before a terminal sees it.
"""

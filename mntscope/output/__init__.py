"""Results as people and programs read them.

``output/<command>.py`` makes one :class:`~mntscope.output.document.Document` of a command's result, and
:mod:`mntscope.output.writers` write it: the terminal, Markdown, HTML, a notebook's cell. Beside it stand the functions
that make JSON and CSV of the same result, which other programs rely on. The module lists its formats by name in
``FORMATS``, the default first: a format is a function ``(result, page) -> text``
(:data:`~mntscope.output.formats.Format`). What several documents say is worded in :mod:`mntscope.output.phrases`.

Untrusted text is made visible by the writers (:func:`~mntscope.output.escape.visible`), never before.
"""

"""How the objects show themselves in a notebook: Jupyter, VS Code, and what is exported from them.

The last expression of a cell that is a snapshot, a view, a mount, a diff, a prediction, a finding .. is shown as a
document: who it is about, what matters of it first, and the rest folded away. It is the same document as text, as
Markdown, as HTML, and where it fits as a picture (:func:`mimebundle`); nothing in it runs, and nothing untrusted is
obeyed. Large objects are shortened and say so: ``.frame()`` has all of them.

``%load_ext mntscope`` brings the magic ``%mntscope`` (:mod:`mntscope.magic`).
"""

from mntscope.notebook.bundle import mimebundle

__all__ = ["mimebundle"]

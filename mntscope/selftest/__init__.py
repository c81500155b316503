"""The model of propagation against the kernel: random operations, predicted, carried out, compared.

:mod:`generate` draws operations, among them those of :mod:`scenarios`, :mod:`execute` carries them out in throwaway
namespaces, :mod:`replay` follows a trace with predictions, :mod:`compare` says whether two states are the same but for
the kernel's names, :mod:`shrink` finds the smallest sequence that fails, :mod:`traces` is the file format of
recordings, and :mod:`run` puts them together.
"""

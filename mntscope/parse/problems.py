"""What is wrong with a table: lines that are no mountinfo, and lines that are, though no kernel wrote them so.

Every way of reading a table brings the lines here that it cannot read itself, in their order, and so finds the same.
"""

from __future__ import annotations

from mntscope.errors import ParseError
from mntscope.parse.records import Fields, encode, fields_of_line, kept_fields_of_line


class UnusualSpelling(ParseError):
    """A line that was understood and kept, though something between the kernel and here has altered it."""


class Problems:
    """The problems of one table of *file*, of which the first *most* are described and the others counted.

    *strict*: the first one is raised.
    """

    def __init__(self, *, strict: bool, file: str, most: int) -> None:
        self.strict = strict
        self.file = file
        self.most = most
        self.listed: list[ParseError] = []
        self.unlisted = 0

    def fields(self, line: str, number: int, *, cut_off: bool) -> Fields | None:
        """The fields of line *number*; ``None`` where it is no mountinfo. *cut_off*: the table ends within it.

        :raises ParseError: no kernel prints it, and reading is strict.
        """
        fields = fields_of_line(line)
        if fields is not None:
            return fields
        kept = kept_fields_of_line(line)
        if len(self.listed) >= self.most:
            self.unlisted += 1
            return kept
        try:
            return self._judged(line, number, kept=kept is not None, cut_off=cut_off)
        except ParseError as error:
            if self.strict:
                raise
            # How it came about would keep all that was read, and cannot be copied or sent.
            error.__context__ = None
            self.listed.append(error.with_traceback(None))
            return kept

    def windows(self, data: bytes) -> None:
        """Sees whether every line of *data* ends as those of Windows do; of one line that means nothing.

        :raises UnusualSpelling: they do, and reading is strict.
        """
        end = data.find(b"\n")
        if end < 1 or data[end - 1 : end] != b"\r" or not 2 <= data.count(b"\r\n") == data.count(b"\n"):
            return
        line = data[:end]
        crlf = UnusualSpelling(
            "found a carriage return at the end of every line",
            file=self.file,
            line=1,
            column=len(line),
            text=line,
            hint="the file has Windows line ends: remove the carriage returns",
        )
        if self.strict:
            raise crlf
        self.listed.insert(0, crlf)

    def _judged(self, line: str, number: int, *, kept: bool, cut_off: bool) -> Fields:
        """What Lark says of a line that the expression does not match."""
        from mntscope.parse.lark_line import read_line

        kind = UnusualSpelling if kept else ParseError
        return read_line(encode(line), file=self.file, number=number, cut_off=cut_off, kind=kind)

"""``mntscope completion SHELL``."""

from __future__ import annotations

import argparse
import re

from mntscope.cli.output_options import write_standard_output

HELP = "what makes bash, zsh or fish complete all of this"

EXAMPLES = (
    ('eval "$(mntscope completion bash)"', "in this shell, from now on"),
    ("mntscope completion fish > ~/.config/fish/completions/mntscope.fish", "in every fish, for good"),
)

# A word that ends so may go on: no blank is put behind it.
SCRIPTS = {
    "bash": r"""# eval "$(mntscope completion bash)"
_mntscope() {
    mapfile -t COMPREPLY < <("$1" completion bash -- "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    [[ ${COMPREPLY-} != *[:/#=] ]] || compopt -o nospace
}
complete -o default -F _mntscope mntscope
""",
    "zsh": r"""# eval "$(mntscope completion zsh)", after compinit
_mntscope() {
    local -a found
    found=(${(f)"$("${(Q)words[1]}" completion zsh -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)"})
    (( $#found )) || { _default; return }
    compadd -S '' -- ${(M)found:#*[:/#=]}
    compadd -- ${found:#*[:/#=]}
}
compdef _mntscope mntscope
""",
    "fish": r"""# mntscope completion fish | source
complete -c mntscope -f -a '(begin
    set -l words (commandline -opc) (commandline -ct)
    $words[1] completion fish -- $words[2..] 2>/dev/null
end)'
""",
}

_SPECIAL = {"'": frozenset("'"), '"': frozenset('"$`\\!')}
"""What means something between such marks."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("shell", metavar="SHELL", choices=tuple(SCRIPTS), help="bash, zsh or fish")
    parser.add_argument(
        "words", metavar="WORD", nargs="*", default=[], help="what the script asks about: words typed so far"
    )
    parser.epilog = """\
Without words it prints the script that a shell reads at its start:
  eval "$(mntscope completion bash)"    in ~/.bashrc; the same with zsh in ~/.zshrc, after compinit
  mntscope completion fish | source     in ~/.config/fish/config.fish

Exit codes: 0 printed, 2 trouble"""


def run(arguments: argparse.Namespace) -> int:
    """Print the script, or what the last word may become."""
    if not arguments.words:
        write_standard_output(SCRIPTS[arguments.shell])
        return 0
    from mntscope.cli.completer import completions

    if arguments.shell == "bash":
        found = _for_bash(arguments.words[0])
    else:
        *before, word = arguments.words
        found = completions(before, word)
    write_standard_output("".join(f"{each}\n" for each in found))
    return 0


def _for_bash(line: str) -> list[str]:
    """What may stand in place of the last word of *line* as bash takes it: behind the last ``:`` or ``=``, quoted."""
    import shlex

    from mntscope.cli.completer import completions

    quoted = ""
    words: list[str] = []
    # A quotation mark may not be closed yet.
    for quoted in ("", "'", '"'):
        try:
            words = shlex.split(line + quoted)
            break
        except ValueError:
            continue
    if not quoted and (not line or line[-1].isspace()):
        words.append("")
    *before, word = words[1:] or [""]
    cut = max(word.rfind(":"), word.rfind("=")) + 1
    found = [each[cut:] for each in completions(before, word)]
    if quoted:
        # Of a name that means something else between these marks nothing is offered.
        return [each for each in found if _SPECIAL[quoted].isdisjoint(each)]
    return [re.sub(r"([^\w@%+=:,./#~-])", r"\\\1", each) for each in found]

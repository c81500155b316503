"""The language of one mountinfo line as regular expressions: of all of it, one group a field, and of its parts.

Generated from grammar/mountinfo.lark by ``python -m mntscope.parse.derive_pattern``: do not edit, derive it anew.
"""

LINE = (
    r"(?P<mount_id>(?:0|[1-9][0-9]{0,18}))"
    r" "
    r"(?P<parent_id>(?:0|[1-9][0-9]{0,18}))"
    r" "
    r"(?P<device>[0-9]{1,19}:[0-9]{1,19})"
    r" "
    r"(?P<root>[^ \n]+)"
    r" "
    r"(?P<mount_point>[^ \n/]*/[^ \n]*)"
    r" "
    r"(?P<options>[^ \n]+)"
    r"(?P<optional_fields>(?:(?> (?:shared:(?:0|[1-9][0-9]{0,18})|master:(?:0|[1-9][0-9]{0,18})|"
    r"propagate_from:(?:0|[1-9][0-9]{0,18})|unbindable(?![^ \n])|(?:(?!-(?![^ \n])|unbindable(?![^ \n])|"
    r"shared:|master:|propagate_from:)[^ \n]+)))*+| ))"
    r" - "
    r"(?P<fs_type>[^ \n]+)"
    r" "
    r"(?P<source>(?>[^ \n]+)?+)"
    r" "
    r"(?P<super_options>[^ \n][^\n]*)"
)

FORM = "%s %s %s %s %s %s%s - %s %s %s"

FIELDS = {
    "mount_id": r"(?:0|[1-9][0-9]{0,18})",
    "parent_id": r"(?:0|[1-9][0-9]{0,18})",
    "device": r"[0-9]{1,19}:[0-9]{1,19}",
    "root": r"[^ \n]+",
    "mount_point": r"[^ \n/]*/[^ \n]*",
    "options": r"[^ \n]+",
    "optional_fields": (
        r"(?:(?> (?:shared:(?:0|[1-9][0-9]{0,18})|master:(?:0|[1-9][0-9]{0,18})|propagate_from:(?:0|"
        r"[1-9][0-9]{0,18})|unbindable(?![^ \n])|(?:(?!-(?![^ \n])|unbindable(?![^ \n])|shared:|master:|"
        r"propagate_from:)[^ \n]+)))*+| )"
    ),
    "fs_type": r"[^ \n]+",
    "source": r"(?>[^ \n]+)?+",
    "super_options": r"[^ \n][^\n]*",
}

OPTIONAL_FIELDS = {
    "shared": r"shared:(?:0|[1-9][0-9]{0,18})",
    "master": r"master:(?:0|[1-9][0-9]{0,18})",
    "propagate_from": r"propagate_from:(?:0|[1-9][0-9]{0,18})",
    "unbindable": r"unbindable(?![^ \n])",
    "unknown_tag": r"(?:(?!-(?![^ \n])|unbindable(?![^ \n])|shared:|master:|propagate_from:)[^ \n]+)",
}

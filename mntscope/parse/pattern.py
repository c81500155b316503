"""The language of one mountinfo line as regular expressions: of all of it, one group a field, and of its parts.

``LINE`` is what kernels print, ``KEPT`` what is understood all the same; the parts are those of ``LINE``.
Generated from grammar/mountinfo.lark by ``python -m mntscope.parse.derive_pattern``: do not edit, derive it anew.
"""

LINE = (
    r"(?P<mount_id>(?!0[0-9])[0-9]{1,19}+)"
    r" "
    r"(?P<parent_id>(?!0[0-9])[0-9]{1,19}+)"
    r" "
    r"(?P<device>[0-9]{1,19}+:[0-9]{1,19}+)"
    r" "
    r"(?P<root>(?:(?>[^ \n\0\\]++|\\[0-3][0-7]{2}[^ \n\0\\]*+)(?>\\[0-3][0-7]{2}[^ \n\0\\]*+)*+))"
    r" "
    r"(?P<mount_point>[^ \n\0\\/]*/[^ \n\0\\]*+(?>\\[0-3][0-7]{2}[^ \n\0\\]*+)*+)"
    r" "
    r"(?P<options>r[ow](?![^ ,\n])[^ \n\0]*+)"
    r"(?P<optional_fields>(?> (?:(?!-(?![^ \n])|unbindable(?![^ \n])|shared:|master:|propagate_from:|"
    r":)[^ \n\0]+))*+(?> shared:[1-9][0-9]{0,18}(?> (?:(?!-(?![^ \n])|unbindable(?![^ \n])|shared:|master:|"
    r"propagate_from:|:)[^ \n\0]+))*+)?+(?> master:[1-9][0-9]{0,18}(?> (?:(?!-(?![^ \n])|"
    r"unbindable(?![^ \n])|shared:|master:|propagate_from:|"
    r":)[^ \n\0]+))*+(?> propagate_from:[1-9][0-9]{0,18}(?> (?:(?!-(?![^ \n])|unbindable(?![^ \n])|shared:|"
    r"master:|propagate_from:|:)[^ \n\0]+))*+)?+)?+(?> unbindable(?![^ \n])(?> (?:(?!-(?![^ \n])|"
    r"unbindable(?![^ \n])|shared:|master:|propagate_from:|:)[^ \n\0]+))*+)?+)"
    r" - "
    r"(?P<fs_type>(?:(?>[^ \n\0\\]++|\\[0-3][0-7]{2}[^ \n\0\\]*+)(?>\\[0-3][0-7]{2}[^ \n\0\\]*+)*+))"
    r" "
    r"(?P<source>(?>(?:(?>[^ \n\0\\]++|\\[0-3][0-7]{2}[^ \n\0\\]*+)(?>\\[0-3][0-7]{2}[^ \n\0\\]*+)*+))?+)"
    r" "
    r"(?P<super_options>r[ow](?![^,\r\n])[^\n\0]*+)"
)

KEPT = (
    r"(?P<mount_id>(?!0[0-9])[0-9]{1,19}+)"
    r" "
    r"(?P<parent_id>(?!0[0-9])[0-9]{1,19}+)"
    r" "
    r"(?P<device>[0-9]{1,19}+:[0-9]{1,19}+)"
    r" "
    r"(?P<kept_root>[^ \n]+)"
    r" "
    r"(?P<kept_mount_point>[^ \n/]*/[^ \n]*)"
    r" "
    r"(?P<kept_options>[^ \n]+)"
    r"(?P<kept_optional_fields>(?:(?> (?:shared:(?!0[0-9])[0-9]{1,19}+|master:(?!0[0-9])[0-9]{1,19}+|"
    r"propagate_from:(?!0[0-9])[0-9]{1,19}+|unbindable(?![^ \n])|(?:(?!-(?![^ \n])|unbindable(?![^ \n])|"
    r"shared:|master:|propagate_from:)[^ \n]+)))*+| ))"
    r" - "
    r"(?P<kept_fs_type>[^ \n]+)"
    r" "
    r"(?P<kept_source>(?>[^ \n]+)?+)"
    r" "
    r"(?P<kept_super_options>[^ \n][^\n]*)"
)

FORM = "%s %s %s %s %s %s%s - %s %s %s"

FIELDS = {
    "mount_id": r"(?!0[0-9])[0-9]{1,19}+",
    "parent_id": r"(?!0[0-9])[0-9]{1,19}+",
    "device": r"[0-9]{1,19}+:[0-9]{1,19}+",
    "root": r"(?:(?>[^ \n\0\\]++|\\[0-3][0-7]{2}[^ \n\0\\]*+)(?>\\[0-3][0-7]{2}[^ \n\0\\]*+)*+)",
    "mount_point": r"[^ \n\0\\/]*/[^ \n\0\\]*+(?>\\[0-3][0-7]{2}[^ \n\0\\]*+)*+",
    "options": r"r[ow](?![^ ,\n])[^ \n\0]*+",
    "optional_fields": (
        r"(?> (?:(?!-(?![^ \n])|unbindable(?![^ \n])|shared:|master:|propagate_from:|"
        r":)[^ \n\0]+))*+(?> shared:[1-9][0-9]{0,18}(?> (?:(?!-(?![^ \n])|unbindable(?![^ \n])|shared:|master:|"
        r"propagate_from:|:)[^ \n\0]+))*+)?+(?> master:[1-9][0-9]{0,18}(?> (?:(?!-(?![^ \n])|"
        r"unbindable(?![^ \n])|shared:|master:|propagate_from:|"
        r":)[^ \n\0]+))*+(?> propagate_from:[1-9][0-9]{0,18}(?> (?:(?!-(?![^ \n])|unbindable(?![^ \n])|shared:|"
        r"master:|propagate_from:|:)[^ \n\0]+))*+)?+)?+(?> unbindable(?![^ \n])(?> (?:(?!-(?![^ \n])|"
        r"unbindable(?![^ \n])|shared:|master:|propagate_from:|:)[^ \n\0]+))*+)?+"
    ),
    "fs_type": r"(?:(?>[^ \n\0\\]++|\\[0-3][0-7]{2}[^ \n\0\\]*+)(?>\\[0-3][0-7]{2}[^ \n\0\\]*+)*+)",
    "source": r"(?>(?:(?>[^ \n\0\\]++|\\[0-3][0-7]{2}[^ \n\0\\]*+)(?>\\[0-3][0-7]{2}[^ \n\0\\]*+)*+))?+",
    "super_options": r"r[ow](?![^,\r\n])[^\n\0]*+",
}

OPTIONAL_FIELDS = {
    "unknown_tag": r"(?:(?!-(?![^ \n])|unbindable(?![^ \n])|shared:|master:|propagate_from:|:)[^ \n\0]+)",
    "shared": r"shared:[1-9][0-9]{0,18}",
    "master": r"master:[1-9][0-9]{0,18}",
    "propagate_from": r"propagate_from:[1-9][0-9]{0,18}",
    "unbindable": r"unbindable(?![^ \n])",
}

"""The language of one mountinfo line as a regular expression, one group a field.

Generated from grammar/mountinfo.lark by mntscope/parse/derive.py: do not edit, derive it anew.
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

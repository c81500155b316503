"""What other programs may rely on in the JSON: the fields of each ``mntscope.<command>/1``, and their types.

Fields are added and never renamed, so a document may have more than is named here. As JSON schemas, by the command.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
YES_OR_NO: Schema = {"type": "boolean"}


def one_of(*words: str) -> Schema:
    """One of these words."""
    return {"enum": list(words)}


def maybe(schema: Schema) -> Schema:
    """That, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def list_of(schema: Schema) -> Schema:
    """Any number of these."""
    return {"type": "array", "items": schema}


def record(**fields: Schema) -> Schema:
    """An object that has at least these fields."""
    return {"type": "object", "required": list(fields), "properties": fields}


def document(command: str, **fields: Schema) -> Schema:
    """What a command writes."""
    return record(schema={"const": f"mntscope.{command}/1"}, **fields)


SEVERITY = one_of("critical", "high", "medium", "low")
VERDICT = one_of("same-namespace", "leaks", "receives", "isolated")
NOT_SEEN = list_of(record(what=TEXT, where=TEXT))

MOUNT = record(
    mount_id=NUMBER,
    parent_id=NUMBER,
    device={"type": "string", "pattern": r"^\d+:\d+$"},
    root=TEXT,
    mount_point=TEXT,
    options=list_of(TEXT),
    peer_group=maybe(NUMBER),
    master=maybe(NUMBER),
    propagate_from=maybe(NUMBER),
    unbindable=YES_OR_NO,
    fs_type=TEXT,
    source=TEXT,
    super_options=list_of(TEXT),
    propagation=one_of("shared", "slave", "shared,slave", "private", "unbindable"),
)
PLACE = record(file=TEXT, line=NUMBER, column=NUMBER)
PREVIEW_FINDING = record(
    kind=one_of("mounts-on-host", "receives-nothing", "refused", "pins", "changes-host"),
    severity=SEVERITY,
    message=TEXT,
    where=PLACE,
    path=TEXT,
    at=list_of(TEXT),
    said_by=TEXT,
    said=TEXT,
    remedy=TEXT,
)
PROCESS = record(pid=NUMBER, comm=TEXT)
VIEW = record(label=TEXT, mount_namespace=maybe(NUMBER), owner=maybe(TEXT), processes=list_of(PROCESS), mounts=NUMBER)
EFFECT = record(
    namespace=TEXT,
    change=one_of("mount", "umount", "move", "propagation", "remount"),
    path=TEXT,
    before=maybe(MOUNT),
    after=maybe(MOUNT),
    crosses=YES_OR_NO,
)
MEMBER = record(namespace=TEXT, mount_id=NUMBER, mount_point=TEXT, root=TEXT, fs_type=TEXT, source=TEXT)
NODE = {**MOUNT, "properties": {**MOUNT["properties"], "children": list_of({"$ref": "#/$defs/node"})}}
NODE["required"] = [*MOUNT["required"], "hidden", "overmounted", "peers", "leaks", "children"]

SCHEMAS: dict[str, Schema] = {
    "diff": document(
        "diff",
        host=VIEW,
        target=VIEW,
        verdict=VERDICT,
        changes=list_of(
            record(
                kind=one_of("added", "removed", "moved", "remounted", "propagation-changed"),
                path=TEXT,
                host=maybe(MOUNT),
                target=maybe(MOUNT),
            )
        ),
        leaks=list_of(
            record(
                direction=one_of("out", "in", "both"),
                path=TEXT,
                lands_at=list_of(TEXT),
                via=one_of("peer", "slave"),
                peer_group=NUMBER,
                severity=SEVERITY,
                remedy=maybe(one_of("make-private", "make-slave")),
                why=TEXT,
            )
        ),
        not_seen=NOT_SEEN,
    ),
    "ns": document(
        "ns",
        namespaces=list_of(
            record(
                label=TEXT,
                name=TEXT,
                inode=maybe(NUMBER),
                id=maybe(NUMBER),
                user_namespace=maybe(NUMBER),
                owner=maybe(TEXT),
                processes=list_of(PROCESS),
                mounts=NUMBER,
                verdict=VERDICT,
            )
        ),
        unreadable=NOT_SEEN,
    ),
    "tree": document("tree", host=TEXT, target=TEXT, tree=list_of({"$ref": "#/$defs/node"}), not_seen=NOT_SEEN)
    | {"$defs": {"node": NODE}},
    "graph": document(
        "graph",
        host=TEXT,
        namespaces=list_of(record(label=TEXT, name=TEXT, inode=maybe(NUMBER), owner=maybe(TEXT), mounts=NUMBER)),
        groups=list_of(
            record(
                peer_group=NUMBER,
                device=maybe(TEXT),
                master=maybe(NUMBER),
                namespaces=list_of(TEXT),
                members=list_of(MEMBER),
                slaves=list_of(MEMBER),
            )
        ),
        not_seen=NOT_SEEN,
    ),
    "holders": document(
        "holders",
        device=maybe(TEXT),
        verdict=one_of("free", "held", "busy"),
        holders=list_of(
            record(
                namespace=TEXT,
                owner=maybe(TEXT),
                pids=list_of(NUMBER),
                path=TEXT,
                via=one_of("host", "peer", "slave", "master", "relative", "overlay", "none"),
                receives_host_umount=YES_OR_NO,
                remedy=maybe(TEXT),
                goes_along=YES_OR_NO,
                inside=list_of(TEXT),
                mount=MOUNT,
            )
        ),
        inside=maybe(TEXT),
        umounts=list_of(TEXT),
        references=maybe(
            list_of(record(pid=NUMBER, kind=one_of("cwd", "root", "exe", "fd", "map"), in_no_table=YES_OR_NO))
        ),
        kernel_files=list_of(record(device=maybe(TEXT), path=TEXT, remedy=TEXT)),
        not_seen=NOT_SEEN,
    ),
    "audit": document(
        "audit",
        failed=YES_OR_NO,
        findings=list_of(
            record(
                rule={"type": "string", "pattern": r"^MNT\d{3}$"},
                name=TEXT,
                severity=SEVERITY,
                confidence=one_of("certain", "likely", "possible"),
                subject=TEXT,
                message=TEXT,
                fingerprint=TEXT,
                remedy=maybe(TEXT),
                commands=list_of(list_of(TEXT)),
                evidence=record(mounts=list_of(record(namespace=TEXT, mount=MOUNT)), effects=list_of(EFFECT)),
            )
        ),
        not_seen=NOT_SEEN,
    ),
    "predict": document(
        "predict",
        operation=maybe(record(op=TEXT)),
        errno=maybe({"type": "string", "pattern": "^E[A-Z]+$"}),
        effects=list_of(EFFECT),
        uncertain=list_of(TEXT),
        not_seen=NOT_SEEN,
    ),
    "preview": document(
        "preview",
        containers=list_of(
            record(
                name=TEXT,
                runtime=TEXT,
                where=PLACE,
                mounts=list_of(MOUNT),
                leaks=list_of(PREVIEW_FINDING),
                refused=list_of(record(why=TEXT, as_said_by=TEXT)),
                receives_nothing=list_of(PREVIEW_FINDING),
                pins=list_of(PREVIEW_FINDING),
                changes_host=list_of(PREVIEW_FINDING),
                uncertain=list_of(TEXT),
            )
        ),
        uncertain=list_of(TEXT),
        not_seen=NOT_SEEN,
    ),
    "explain": document(
        "explain",
        rules=list_of(
            record(rule=TEXT, name=TEXT, severity=SEVERITY, why=TEXT, fix=TEXT, references=list_of(record(title=TEXT)))
        ),
    ),
}

"""What the columns of a converted file must hold, told from the source JSON by an independent model, and a form to compare readers in.

The names, keys and formats of the columns come from the file's own notes (metadata entry "hydrant.fields") and its Parquet schema; the values come
from Python's json over the source lines. Where a value must be:
  a field of its key (the plain one or a sibling x__type) whose type takes the value; else, if no enclosing list, `__rest` under its dotted path
A number whose text its column does not give back stands in both: see only_texts.
"""
import datetime
import decimal
import hashlib
import json

import pyarrow as pa

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
TIME_FORMATS = 16  # notes: format of a string stored as timestamp
JSON_TEXT = 3      # notes: JSON text
MACHINERY = ("shape", "raw", "rest", "time", "received", "source", "pos", "id", "key", "meta")


def is_list(t):
    return pa.types.is_list(t) or pa.types.is_large_list(t)


class Node:
    """A column or member: arrow field plus its note."""

    def __init__(self, field, notes):
        self.name = field.name
        self.type = field.type
        note = notes.get(int((field.metadata or {}).get(b"PARQUET:field_id", b"0")), {})
        self.role = note.get("role", "payload")
        self.key = note.get("key", field.name)
        self.format = note.get("format", 0)
        if pa.types.is_struct(field.type):
            self.children = [Node(field.type.field(i), notes) for i in range(field.type.num_fields)]
        elif is_list(field.type):
            self.children = [Node(field.type.value_field, notes)]
        else:
            self.children = []


class Elsewhere(Exception):
    """The field does not take the value."""


def micros(text):
    """RFC 3339 with at most 6 digits of fraction, in UTC."""
    if len(text) < 20 or text[10] not in "T " or not text[:4].isdigit():
        raise Elsewhere()
    try:
        when = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise Elsewhere() from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.timezone.utc)
    return (when - EPOCH) // datetime.timedelta(microseconds=1)


def place(node, value, path, rest, in_list):
    """The value as the field must hold it; members without field go to rest."""
    t = node.type
    if value is None or value == {} or value == []:
        return None
    if pa.types.is_struct(t):
        if not isinstance(value, dict):
            raise Elsewhere()
        return members(node.children, value, path, rest, in_list)
    if is_list(t):
        if not isinstance(value, list):
            raise Elsewhere()
        return [place(node.children[0], v, path, rest, True) for v in value]
    if node.format == JSON_TEXT:
        return ("json", value)
    if pa.types.is_boolean(t):
        if isinstance(value, bool):
            return value
    elif pa.types.is_timestamp(t):
        if isinstance(value, str):
            return micros(value)
    elif pa.types.is_string(t) or pa.types.is_large_string(t):
        if isinstance(value, str):
            return value
    elif isinstance(value, (int, decimal.Decimal)) and not isinstance(value, bool):
        if pa.types.is_integer(t):
            if isinstance(value, int) and -2**63 <= value < 2**63:
                return value
        elif pa.types.is_floating(t):
            return float(value)
        elif pa.types.is_decimal(t):
            return decimal.Decimal(value)
    raise Elsewhere()


def members(nodes, obj, path, rest, in_list):
    out = {n.name: None for n in nodes}
    for key, value in obj.items():
        if value is None or value == {} or value == []:
            continue
        for n in nodes:
            if n.key != key or n.role in MACHINERY:
                continue
            inner = []
            try:
                out[n.name] = place(n, value, path + [key], inner, in_list)
            except Elsewhere:
                continue
            rest += inner
            break
        else:
            if in_list:
                raise AssertionError("no place for %s in a list" % ".".join(path + [key]))
            rest.append((".".join(path + [key]), value))
    return out


def without_empty(entries):
    """Of `__rest`: null, {} and [] may stand there or in the shape."""
    return {k: plain(v) for k, v in entries.items() if v not in (None, {}, [])}


def at_path(value, path):
    """The values at a dotted path, whose keys may hold dots themselves."""
    if path == "":
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if path == key:
                yield inner
            elif path.startswith(key + "."):
                yield from at_path(inner, path[len(key) + 1:])


def only_texts(line, entries):
    """Are these entries of `__rest`, whose values are in columns, too, there for how a number is written (1 beside 2.0)?"""
    whole = load(line)
    return all(any(plain(v) == value for v in at_path(whole, path)) and
               (isinstance(value, (int, list)) or value.startswith("decimal ")) for path, value in entries.items())


def load(text):
    return json.loads(text, parse_float=decimal.Decimal)


def nodes_of(schema, notes):
    by_id = {f["id"]: f for f in json.loads(notes)["fields"] if "id" in f}
    return [Node(schema.field(i), by_id) for i in range(len(schema))]


def predict(nodes, line):
    """({column: canonical value}, {rest path: parsed JSON})"""
    rest = []
    row = members(nodes, load(line), [], rest, False)
    return {n.name: canonical(row[n.name]) for n in nodes if n.role not in MACHINERY}, dict(rest)


def canonical(v):
    """One form for all readers. A struct all of whose members are null, and an empty list, count as null: `__shape` tells them apart."""
    if isinstance(v, dict):
        v = {k: canonical(x) for k, x in v.items()}
        v = {k: x for k, x in v.items() if x is not None}
        return v or None
    if isinstance(v, (list, tuple)) and not (isinstance(v, tuple) and v[:1] == ("json",)):
        return [canonical(x) for x in v] or None
    if isinstance(v, tuple):
        return plain(v[1])
    if isinstance(v, datetime.datetime):
        if v.tzinfo is None:
            v = v.replace(tzinfo=datetime.timezone.utc)
        return (v - EPOCH) // datetime.timedelta(microseconds=1)
    if isinstance(v, decimal.Decimal):
        return "decimal " + format(v.normalize(), "f")
    if isinstance(v, float):
        return "double " + v.hex()
    if isinstance(v, (bytes, bytearray)):
        return "bytes " + bytes(v).hex()
    return v


def plain(v):
    """Parsed JSON in the canonical form."""
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    if isinstance(v, list):
        return [plain(x) for x in v]
    return canonical(v)


def digest(values):
    """Of a column: order and every value count."""
    h = hashlib.sha256()
    for v in values:
        h.update(json.dumps(v, sort_keys=True, ensure_ascii=True).encode() + b"\n")
    return h.hexdigest()


def as_map(value):
    """A map, however a reader gives it: pairs, {"key":…,"value":…} or a dict."""
    if not value:
        return {}
    if isinstance(value, dict):
        return value
    return {e["key"]: e["value"] for e in value} if isinstance(value[0], dict) else dict(value)

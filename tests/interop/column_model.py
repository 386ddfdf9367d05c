"""What the columns of a converted file must hold, told from the source JSON by an independent model, and a form to compare readers in.

The names, keys and formats of the columns come from the file's own notes (metadata entry "hydrant.fields") and its Parquet schema; the values come
from Python's json over the source lines. Where a value must be:
  a field of its key (the plain one or a sibling x__type) whose type takes the value; else that of JSON text, if there is one; else, if no
  enclosing list, `__rest` under its dotted path
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


class Number(decimal.Decimal):
    """A number with a point or an exponent, or -0: what it is written as tells where it goes."""

    def __new__(cls, text):
        self = super().__new__(cls, text)
        self.text = text
        return self


def time_text(when, note):
    """A timestamp as the format of the column's note writes it."""
    zone, fraction, separator = (note - TIME_FORMATS) // 18, (note - TIME_FORMATS) // 2 % 9, " " if note % 2 else "T"
    digits = "%06d" % when.microsecond
    if fraction < 7:
        digits = digits[:fraction]
    elif fraction == 7:
        digits = digits.rstrip("0")
    else:
        digits = "" if when.microsecond == 0 else digits[:3] if when.microsecond % 1000 == 0 else digits
    return when.strftime("%Y-%m-%d").rjust(10, "0") + separator + when.strftime("%H:%M:%S") + ("." + digits if digits else "") + ("Z", "+00:00", "")[zone]


def micros(text, note):
    """A string that comes back from its column's format."""
    try:
        when = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise Elsewhere() from None
    when = when.replace(tzinfo=when.tzinfo or datetime.timezone.utc)
    if when.utcoffset() or time_text(when, note) != text:
        raise Elsewhere()
    return (when - EPOCH) // datetime.timedelta(microseconds=1)


def number(t, value):
    """A number as the column must hold it: an integer as such up to 64 bits, then as decimal(38, 0), in a double up to 2^53; digits.digits in
    a decimal of that scale, else in a double."""
    if isinstance(value, int):
        if pa.types.is_integer(t) and -2**63 <= value < 2**63:
            return value
        if pa.types.is_floating(t) and abs(value) <= 2**53:
            return float(value)
        if pa.types.is_decimal(t) and t.scale == 0 and len(str(abs(value))) <= 38:
            return decimal.Decimal(value)
    elif pa.types.is_decimal(t) and t.scale:
        whole, point, fraction = value.text.lstrip("-").partition(".")
        if point and fraction.isdigit() and len(fraction) == t.scale and len(whole.lstrip("0") + fraction) <= 18 and (value or value.text[0] != "-"):
            return decimal.Decimal(value)
    elif pa.types.is_floating(t) and abs(float(value)) != float("inf"):
        return float(value)
    raise Elsewhere()


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
            return micros(value, node.format)
    elif pa.types.is_string(t) or pa.types.is_large_string(t):
        if isinstance(value, str):
            return value
    elif isinstance(value, (int, decimal.Decimal)) and not isinstance(value, bool):
        return number(t, value)
    raise Elsewhere()


def rank(node):
    """Of the fields of one key, which is tried first."""
    if node.format == JSON_TEXT:
        return 3
    if pa.types.is_decimal(node.type):
        return 0 if node.type.scale else 2
    return 0 if pa.types.is_timestamp(node.type) else 1


def members(nodes, obj, path, rest, in_list):
    out = {n.name: None for n in nodes}
    for key, value in obj.items():
        if value is None or value == {} or value == []:
            continue
        for n in sorted((n for n in nodes if n.key == key and n.role in ("payload", "sibling")), key=rank):
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


def is_empty(value):
    return value in (None, {}, []) or (isinstance(value, list) and all(is_empty(v) for v in value))


def without_empty(entries):
    """Of `__rest`: null, {} and [] may stand there or in the shape; an object whole, or its members one by one."""
    out = {}
    for path, value in entries.items():
        if isinstance(value, dict):
            out.update(without_empty({path + "." + k: v for k, v in value.items()}))
        elif not is_empty(value):
            out[path] = plain(value)
    return out


def at_path(value, path):
    """The values at a dotted path, whose keys may hold dots themselves."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if path == key:
                yield inner
            elif path.startswith(key + "."):
                yield from at_path(inner, path[len(key) + 1:])


def only_texts(line, entries):
    """Are these entries of `__rest`, whose values are in columns, too, there for how a number is written (1 beside 2.0)?"""
    whole = load(line)
    return all(any(plain(v) == value for v in at_path(whole, path)) and
               (isinstance(value, (int, list)) or str(value).startswith("decimal ")) for path, value in entries.items())


def load(text):
    return json.loads(text, parse_float=Number, parse_int=lambda digits: int(digits) if digits != "-0" else Number(digits))


def nodes_of(schema, notes):
    by_id = {f["id"]: f for f in json.loads(notes)["fields"] if "id" in f}
    return [Node(schema.field(i), by_id) for i in range(len(schema))]


def seen(node, value):
    """What a reader gave for a column, JSON text parsed."""
    if value is None:
        return None
    if node.format == JSON_TEXT and isinstance(value, str):
        return ("json", load(value))
    if pa.types.is_struct(node.type):
        return {n.name: seen(n, value[n.name]) for n in node.children}
    if is_list(node.type):
        return [seen(node.children[0], v) for v in value]
    return value


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

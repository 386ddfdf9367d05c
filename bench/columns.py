"""Does hydrant's file hold the values of DuckDB's?  columns.py DUCKDB.parquet HYDRANT.parquet

For each leaf column of DuckDB's file the number of values that are not null and the sum of a hash of each must be those of hydrant's column with the
same keys, siblings (`x__string`, …), JSON text and `__rest` included: as both are sums, what hydrant has in several places is added up. Both
files are read by DuckDB. The form in which values are compared is that of the kind of DuckDB's column (`canon`). Where DuckDB has JSON text or
a map, both sides are taken apart into (path, scalar) in Python, for the first DEEP_ROWS rows: the two files have the same order.
It prints one line of JSON: leaves, values, and what is wrong.
"""
import datetime
import decimal
import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "tests", "interop"))
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from column_model import JSON_TEXT, MACHINERY, nodes_of

DEEP_ROWS = 200000  # docs/benchmarks.md says so, too (page.py)
COLUMNS_A_QUERY = 100
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
LIST = None  # a step of a path: into the elements; any other step is a key
INTEGERS = ("tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint", "uhugeint")


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def shown(path):
    return ".".join("[]" if step is LIST else step for step in path) or "(the record)"


# ---- a column's values in SQL ----

def source(file, path, rows=None):
    """(expression, from) of the values at a path of column and member names: paths through the same lists share their from."""
    inner = "read_parquet(%s)" % quoted(file)
    if rows:
        inner = "(select * from %s limit %d)" % (inner, rows)
    value = '"%s"' % path[0].replace('"', '""')
    for step in path[1:]:
        if step is LIST:
            inner, value = "(select unnest(%s) as v from %s)" % (value, inner), "v"
        else:
            value = "struct_extract(%s, %s)" % (value, quoted(step))
    return value, inner


def canon(kind, v):
    """The form in which values of one kind of DuckDB's columns are compared, of a value of any type."""
    if kind == "number":
        return "(%s)::double + 0.0" % v
    if kind == "integer":
        return "(%s)::hugeint::varchar" % v
    if kind == "time":
        return "coalesce(epoch_us(try_cast((%s)::varchar as timestamptz))::varchar, (%s)::varchar)" % (v, v)
    if kind == "uuid":
        return "lower((%s)::varchar)" % v
    return "(%s)::varchar" % v


def kind_of(t):
    name = str(t).lower()
    if name in INTEGERS:
        return "integer"
    if name in ("double", "float") or name.startswith("decimal"):
        return "number"
    if name.startswith("timestamp"):
        return "time"
    return "uuid" if name == "uuid" else "text"


# ---- both files ----

class Theirs:
    """DuckDB's file: its leaves as (path, kind), and the nodes that are JSON or a map."""

    def __init__(self, connection, file):
        self.plain, self.deep = [], []
        relation = connection.sql("select * from read_parquet(%s)" % quoted(file))
        for name, t in zip(relation.columns, relation.types):
            self.add((name,), t)
        # Of a record with too many keys DuckDB makes one map, by the name of "json".
        self.record = len(relation.columns) == 1 and relation.types[0].id == "map"

    def add(self, path, t):
        if t.id == "struct":
            for name, child in t.children:
                self.add(path + (name,), child)
        elif t.id == "list":
            self.add(path + (LIST,), t.children[0][1])
        elif t.id == "map" or str(t) == "JSON":
            self.deep.append(path)
        else:
            self.plain.append((path, kind_of(t)))


class Ours:
    """hydrant's file: its nodes with the JSON keys they stand for."""

    def __init__(self, connection, file):
        f = pq.ParquetFile(file)
        self.connection, self.file = connection, file
        self.nodes = [n for n in nodes_of(f.schema_arrow, f.metadata.metadata[b"hydrant.fields"]) if n.role not in MACHINERY]
        self.rest = []  # (row, dotted path, parsed JSON)
        if "__rest" in f.schema_arrow.names:
            entries = connection.execute("select i, unnest(map_entries(m), recursive := true) from (select row_number() over () - 1 as i, __rest as m from "
                                         "read_parquet(%s)) where m is not null" % quoted(file))
            while batch := entries.fetchmany(20000):
                self.rest += [(row, key, parsed(text)) for row, key, text in batch]
        self.drop_texts()
        self.rest_of = {}
        for row, key, value in self.rest:
            self.rest_of.setdefault(key, []).append((row, value))

    def drop_texts(self):
        """A number (or a list of them) whose column does not say how it was written stands in `__rest`, too: that is no second value."""
        suspects = {}
        for row, key, value in self.rest:
            if isinstance(value, (int, decimal.Decimal, list)):
                suspects.setdefault(key, []).append(row)
        doubled = set()
        for key in suspects:
            there = ["(%s) is not null" % source(self.file, names)[0] for names in dotted(self.nodes, key)]
            if there:
                rows = self.connection.execute("select i from (select row_number() over () - 1 as i, %s as there from read_parquet(%s)) where there" % (
                    " or ".join(there), quoted(self.file))).fetchall()
                doubled.update((row, key) for row in {i for i, in rows}.intersection(suspects[key]))
        self.rest = [e for e in self.rest if (e[0], e[1]) not in doubled or isinstance(e[2], dict)]

    def places(self, path):
        """[(names, node, the steps that are left)]: where values of this path of keys can stand; steps are left below a node of JSON text."""
        found = [((), None, self.nodes)]
        for at, step in enumerate(path):
            following = []
            for names, node, children in found:
                if step is LIST:
                    candidates = children if node is not None and is_list(node.type) else []
                else:
                    candidates = [n for n in children if n.key == step] if node is None or pa.types.is_struct(node.type) else []
                for n in candidates:
                    if n.format == JSON_TEXT and at + 1 < len(path):
                        yield names + (LIST if step is LIST else n.name,), n, path[at + 1:]
                    else:
                        following.append((names + (LIST if step is LIST else n.name,), n, n.children))
            found = following
        for names, node, _ in found:
            yield names, node, ()


def dotted(nodes, path):
    """Names of all fields at a dotted path, whose keys may hold dots themselves."""
    for n in nodes:
        if n.key == path:
            yield (n.name,)
        elif pa.types.is_struct(n.type) and path.startswith(n.key + "."):
            for names in dotted(n.children, path[len(n.key) + 1:]):
                yield (n.name,) + names


def is_list(t):
    return pa.types.is_list(t) or pa.types.is_large_list(t)


def parsed(text):
    return json.loads(text, parse_float=decimal.Decimal)


def below(value, steps):
    """The values at the end of steps in parsed JSON."""
    if not steps:
        yield value
    elif steps[0] is LIST:
        for element in value if isinstance(value, list) else []:
            yield from below(element, steps[1:])
    elif isinstance(value, dict) and steps[0] in value:
        yield from below(value[steps[0]], steps[1:])


def scalar_fits(kind, value):
    """Parsed JSON as a parameter of canon, or None where a column of that kind has no value."""
    if value is None or isinstance(value, (dict, list)):
        return None
    if isinstance(value, bool):
        return str(value).lower() if kind == "text" else None
    if isinstance(value, (int, decimal.Decimal)):
        return str(value)
    return value


def add_up(connection, requests):
    """[(count, sum)] of [(kind, expression, from)]: all of one from in few queries, as each reads the file again."""
    sums, groups = [None] * len(requests), {}
    for i, (kind, value, inner) in enumerate(requests):
        groups.setdefault(inner, []).append((i, canon(kind, value)))
    for inner, group in groups.items():
        for at in range(0, len(group), COLUMNS_A_QUERY):
            part = group[at:at + COLUMNS_A_QUERY]
            asked = ", ".join("count({0}), coalesce(sum(hash({0})) filter (where {0} is not null), 0)".format(e) for _, e in part)
            row = connection.execute("select %s from %s" % (asked, inner)).fetchone()
            for k, (i, _) in enumerate(part):
                sums[i] = (row[2 * k], int(row[2 * k + 1]))
    return sums


def add_up_parsed(connection, kind, values):
    texts = [t for t in (scalar_fits(kind, v) for v in values) if t is not None]
    if not texts:
        return 0, 0
    connection.register("parsed_values", pa.table({"v": pa.array(texts, pa.string())}))
    sums = add_up(connection, [(kind, "v", "parsed_values")])[0]
    connection.unregister("parsed_values")
    return sums


def parsed_of(connection, ours, path, places):
    """What hydrant has of a path as JSON text: columns of it, and `__rest`."""
    for names, node, left in places:
        if left or node.format == JSON_TEXT:
            for text in rows_of(connection, *source(ours.file, names)):
                yield from below(parsed(text), left)
    for at in range(1, len(path) + 1):
        if LIST in path[:at]:
            break
        for _, value in ours.rest_of.get(".".join(path[:at]), []):
            yield from below(value, path[at:])


def compare_plain(connection, theirs, ours, file, said):
    requests, owners, totals = [], [], []
    for leaf, (path, kind) in enumerate(theirs.plain):
        places = list(ours.places(path))
        if kind == "text" and any(pa.types.is_timestamp(n.type) for _, n, _ in places):
            kind = "time"
        requests.append((kind, *source(file, path)))
        owners.append(("DuckDB", leaf))
        for names, node, left in places:
            if not left and not node.children and node.format != JSON_TEXT:
                requests.append((kind, *source(ours.file, names)))
                owners.append(("hydrant", leaf))
        totals.append({"DuckDB": [0, 0], "hydrant": list(add_up_parsed(connection, kind, parsed_of(connection, ours, path, places)))})
    for (who, leaf), (count, total) in zip(owners, add_up(connection, requests)):
        totals[leaf][who][0] += count
        totals[leaf][who][1] += total
    for (path, _), sums in zip(theirs.plain, totals):
        want, have = sums["DuckDB"], sums["hydrant"]
        said["leaves"] += 1
        said["values"] += want[0]
        if want != have:
            said["wrong"].append("%s: %d values, DuckDB has %d%s" % (shown(path), have[0], want[0], ", other hash" if want[0] == have[0] else ""))


# ---- taken apart: where DuckDB has JSON or a map ----

def scalar(v):
    if isinstance(v, bool):
        return "b%d" % v
    if isinstance(v, str):
        return "t%d" % micros(datetime.datetime.fromisoformat(v.replace("Z", "+00:00"))) if TIME.fullmatch(v) else "s" + v
    if isinstance(v, datetime.datetime):
        return "t%d" % micros(v)
    if isinstance(v, float):
        v = decimal.Decimal(repr(v))
    if isinstance(v, decimal.Decimal):
        v = int(v) if v == v.to_integral_value() else v.normalize()
    return "n%s" % v


def micros(when):
    return (when - EPOCH) // datetime.timedelta(microseconds=1)


def flat_json(value, path, out):
    """Parsed JSON into out: a count and a sum of hashes for the first key of each path. No recursion deeper than the JSON, which both limit."""
    if isinstance(value, dict):
        for key, member in value.items():
            flat_json(member, path + "." + key if path else key, out)
    elif isinstance(value, list):
        for element in value:
            flat_json(element, path + ".[]", out)
    elif value is not None:
        entry(out, path, scalar(value))


def entry(out, path, text):
    first = path.split(".", 1)[0]
    if first in out.known:
        sums = out.of.setdefault(first, [0, 0])
    else:
        sums = out.of.setdefault("(keys without a column)", [0, 0])
    sums[0] += 1
    sums[1] = (sums[1] + hash(path + "\0" + text)) & 0xffffffffffffffff


def flat_node(node, value, path, out):
    """A value of hydrant's column."""
    if value is None:
        return
    if node.format == JSON_TEXT:
        flat_json(parsed(value), path, out)
    elif pa.types.is_struct(node.type):
        for child in node.children:
            flat_node(child, value[child.name], path + "." + child.key if path else child.key, out)
    elif is_list(node.type):
        for element in value:
            flat_node(node.children[0], element, path + ".[]", out)
    elif pa.types.is_map(node.type):
        for key, member in (value.items() if isinstance(value, dict) else value):
            flat_json(member, path + "." + key, out)
    else:
        entry(out, path, scalar(value))


class Sums:
    def __init__(self, known):
        self.known, self.of = known, {}


def rows_of(connection, value, inner):
    answer = connection.execute("select %s from %s where %s is not null" % (value, inner, value))
    while batch := answer.fetchmany(10000):
        for row in batch:
            yield row[0]


def compare_deep(connection, theirs, ours, file, said):
    for path in theirs.deep:
        keys = () if theirs.record else path
        places = [((n.name,), n, ()) for n in ours.nodes] if theirs.record else list(ours.places(keys))
        known = {n.key for n in ours.nodes} if theirs.record else {child.key for _, n, _ in places for child in n.children}
        want, have = Sums(known), Sums(known)
        value, inner = source(file, path, DEEP_ROWS)
        for text in rows_of(connection, "to_json(%s)::varchar" % value, inner):
            flat_json(parsed(text), "", want)
        for names, node, left in places:
            value, inner = source(ours.file, names, DEEP_ROWS)
            for v in rows_of(connection, value, inner):
                if left:
                    for member in below(parsed(v), left):
                        flat_json(member, "", have)
                else:
                    flat_node(node, v, node.key if theirs.record else "", have)
        prefix = "" if theirs.record else ".".join(k for k in keys if k is not LIST)
        for row, key, v in ours.rest:
            if row < DEEP_ROWS and LIST not in keys and (not prefix or key == prefix or key.startswith(prefix + ".")):
                flat_json(v, key[len(prefix) + 1:] if prefix else key, have)
        said["leaves"] += 1
        said["values"] += sum(s[0] for s in want.of.values())
        for name in sorted(set(want.of) | set(have.of)):
            w, h = want.of.get(name, [0, 0]), have.of.get(name, [0, 0])
            if w != h:
                said["wrong"].append("%s, in %s: %d values, DuckDB has %d%s" % (shown(path), name or "itself", h[0], w[0], "" if h[0] != w[0] else ", other hash"))


def main():
    connection = duckdb.connect()
    connection.execute("set threads = 1; set timezone = 'UTC'")
    decimal.getcontext().prec = 400
    theirs, ours = Theirs(connection, sys.argv[1]), Ours(connection, sys.argv[2])
    said = {"leaves": 0, "values": 0, "deep": len(theirs.deep), "wrong": []}
    compare_plain(connection, theirs, ours, sys.argv[1], said)
    compare_deep(connection, theirs, ours, sys.argv[1], said)
    print(json.dumps(said))


if __name__ == "__main__":
    main()

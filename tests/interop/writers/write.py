#!/usr/bin/env python3
"""Python's writers over source lines on stdin: write.py FOLDER"""
import datetime
import json
import sys

out = sys.argv[1]
docs = [json.loads(line) for line in sys.stdin]
for d in docs:
    d["at"] = (datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(microseconds=d["at"])).isoformat()


def save(name, text):
    with open("%s/python-%s.json" % (out, name), "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode())


def lines(write):
    return "".join(write(d) + "\n" for d in docs)


save("dumps", lines(json.dumps))
save("unicode", lines(lambda d: json.dumps(d, ensure_ascii=False)))
save("compact", lines(lambda d: json.dumps(d, separators=(",", ":"))))
save("sorted", lines(lambda d: json.dumps(d, sort_keys=True)))
save("indent", lines(lambda d: json.dumps(d, indent=2)))
save("indent-array", json.dumps(docs, indent=2, ensure_ascii=False) + "\n")
save("array", json.dumps(docs))
try:
    import orjson
    save("orjson", b"".join(orjson.dumps(d) + b"\n" for d in docs))
    save("orjson-indent", b"".join(orjson.dumps(d, option=orjson.OPT_INDENT_2) + b"\n" for d in docs))
except ImportError:
    print("no orjson: left out", file=sys.stderr)

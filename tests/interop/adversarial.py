"""Legal JSON that is hard to give back byte for byte, and lines that are none: deterministic, by a seed."""
import random

NUMBERS = ["0", "-0", "1", "-1", "7", "10", "1.0", "-1.0", "0.0", "-0.0", "-0.00", "1e2", "1E2", "1e+2", "1E+05", "1e-07", "1e05", "100.0", "0.1", "0.10", "0.120", "0.5", "1.50e3", "2.5", "1e21", "1e-7",
           "1.5E+300", "5e-324", "4.9E-324", "2.2250738585072011e-308", "1e400", "-1e400", "1e-400", "123456789012345678901234567890", "-123456789012345678901234567890", "9223372036854775807",
           "-9223372036854775808", "9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616", "1234567890123456789", "12345678901234567890", "9007199254740993",
           "-9007199254740993", "0.1234567890123456789", "0.30000000000000004", "123456789012345678.9", "1" + "0" * 40, "0." + "0" * 30 + "1", "9" * 200, "3.141592653589793238462643383279", "1.7976931348623157e308"]
PIECES = ["a", "words and more words ", "\\\\", "\\\"", "\\/", "/", "\\b", "\\f", "\\n", "\\r", "\\t", "\\u0041", "\\u00e9", "\\u00E9", "é", "\\u0000", "\\u001f", "\\u001F", "\\u003c", "\\u003C", "<", "</b>", "<\\/b>",
          "&", "'", "\\u0027", "=", "\x7f", "\\u007f", "\\u2028", "\u2028", "\u0085", "漢字", "\\u6f22", "😀", "\\ud83d\\ude00", "\\uD83D\\uDE00", "עברית", "{", "[", ",", ":", "null", "1e5", "  "]
LONE = ["\\ud800", "\\udfff", "\\ud83dx", "\\ude00\\ud83d"]
STRINGS = ["", "plain", "2026-11-22T10:00:00Z", "2026-11-22T10:00:00.123Z", "2026-11-22 10:00:00", "2026-11-22T10:00:00+01:00", "2026-02-30T10:00:00Z", "0001-01-01T00:00:00Z", "true", "123", "1.0", "{}",
           "http:\\/\\/example.org\\/", "caf\\u00e9"]
KEYS = ["a", "b", "c", "A", "B", "", "a.b", "a.b.c", "a b", "a-b", "a_b", "é", "\\u00e9", "ключ", "\\u0061", "k\\u0000", "k\\/", "k/", "\\\"", "\\\\", "year", "__raw", "__typename", "x", "x__double", "x__long", "value",
        "select", "名前", "\\ud83d\\ude00", "😀", "text", "1", " ", "<k>", "\\u003ck\\u003e", "drift", "long" * 40]


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def space(self):
        """White space of this document's style."""
        if self.style == 0:
            return ""
        return "".join(self.r.choice(self.blanks) for _ in range(self.r.choice((0, 0, 1, 1, 2, 5))))

    def string(self):
        r = self.r
        if r.random() < 0.5:
            return r.choice(STRINGS)
        if r.random() < 0.02:
            return r.choice(PIECES) * r.choice((100, 700))
        pieces = self.habit if r.random() < 0.7 else PIECES
        return "".join(r.choice(pieces) for _ in range(r.randrange(6))) + (r.choice(LONE) if r.random() < 0.02 else "")

    def number(self):
        r = self.r
        if r.random() < 0.5:
            return r.choice(NUMBERS)
        if r.random() < 0.5:
            return str(r.randrange(-10**r.randrange(1, 22), 10**r.randrange(1, 22)))
        return r.choice((repr, lambda f: "%.2f" % f, lambda f: "%.3f" % f, lambda f: "%e" % f, lambda f: "%.17g" % f))(r.choice((r.gauss(0, 1), r.uniform(-1e6, 1e6), r.lognormvariate(0, 60))))

    def scalar(self):
        k = self.r.random()
        return self.number() if k < 0.4 else '"%s"' % self.string() if k < 0.8 else self.r.choice(("true", "false", "null"))

    def value(self, depth):
        r, k = self.r, self.r.random()
        if depth > 5 or k < 0.55:
            return self.scalar()
        if k < 0.6:
            return r.choice(("{%s}", "[%s]")) % self.space()
        if k < 0.8:
            return self.object(depth + 1)
        return self.array(depth + 1)

    def object(self, depth):
        s, members, keys = self.space, [], []
        for _ in range(self.r.choice((1, 2, 3, 5, 9))):
            key = self.r.choice(KEYS)
            if key in keys and self.r.random() < 0.9: # duplicates stay rare
                continue
            keys.append(key)
            members.append('%s"%s"%s:%s%s%s' % (s(), key, s(), s(), self.value(depth), s()))
        return "{" + ",".join(members) + "}"

    def array(self, depth):
        r, s = self.r, self.space
        n = r.choice((1, 2, 3, 20))
        if r.random() < 0.5:
            like = r.choice((self.number, self.scalar, lambda: '"%s"' % self.string(), lambda: '{"x":%s,"y":%s}' % (self.number(), self.scalar()), lambda: "[%s]" % self.number()))
            values = [like() for _ in range(n)]
        else:
            values = [self.value(depth) for _ in range(n)]
        return "[" + ",".join(s() + v + s() for v in values) + "]"

    def drifting(self, i):
        """Of one skeleton, whose values are of ever other kinds: most columns are typed."""
        r = self.r
        decimals = "%.2f" % r.uniform(0, 1000)
        drift = r.choice((str(i), "1.5", '"x"', "true", "null", "[1]", '{"a":1}', "[]", "{}", '["a",1]', self.number()))
        odd = self.scalar() if r.random() < 0.05 else None
        fields = ['"id":%d' % i, '"price":%s' % (odd or decimals), '"ratio":%r' % r.random(), '"whole":%s' % r.choice(("1", "2.5", "3.0")), '"name":"%s"' % self.string(), '"drift":%s' % drift,
                  '"when":"2026-11-%02dT%02d:00:00%sZ"' % (1 + i % 28, i % 24, r.choice(("", ".123")) if odd else ""), '"ok":%s' % r.choice(("true", "false")), '"big":%d' % r.randrange(-2**64, 2**64),
                  '"list":[%s]' % ",".join(r.choice(("1", "2", "null", "3")) for _ in range(r.randrange(4))), '"in":{"a":%d,"b":[{"c":%s},{"c":null}]}' % (i, r.choice(("1", "2", '"s"')))]
        if r.random() < 0.3:
            r.shuffle(fields)
        if r.random() < 0.3:
            del fields[r.randrange(len(fields))]
        return "{" + ",".join(fields) + "}"

    def document(self, i, blanks=" \t"):
        r = self.r
        self.blanks, self.style = blanks, r.choice((0, 0, 1))
        self.habit = [p for p in PIECES if r.random() < 0.3] or PIECES
        if i % 2:
            return self.drifting(i).encode()
        k = r.random()
        if k < 0.01:
            n = r.choice((17, 60, 127))
            return r.choice(('{"a":' * n + "1" + "}" * n, "[" * n + "]" * n, '{"d":[' * (n // 2) + "{}" + "]}" * (n // 2))).encode()
        if k < 0.012:
            return ('{"huge":"%s","x":%s}' % (r.choice(("x", "é", "\\n", "\\u00e9", "</")) * 60000, self.number())).encode()
        return (self.object(0) if k < 0.9 else self.value(0)).encode()


def documents(n, seed, blanks=" \t"):
    maker = Maker(seed)
    return [maker.document(i, blanks) for i in range(n)]


# None of them is JSON.
BROKEN = [b"{", b'{"a":1', b"nope", b'{"a":01}', b'{"a":1,}', b"[1,]", b"{'a':1}", b'{"a":NaN}', b'"\xff"', b'{"a":"\xc3"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\x00"}', b"\x00", b'{"a":1}\x00', b"\xff\xfe", b'{"a":"tab\there"}',
          b'{"a":"\\x"}', b'{"a":"\\u12"}', b"[" * 129 + b"]" * 129, b'{"a":1} {"b":2}', b"1 2", b'{"a":.5}', b'{"a":+1}', b"tru", b'{"a"}', b"\x0b", b"{}x", b'\xf4\x90\x80\x80', b"\xc0\x80"]

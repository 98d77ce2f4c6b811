"""Reads CDL as ncdump prints it (`ncdump -p 9,17`) into a view. Compound, vlen and opaque values are passed over."""

import re

import numpy as np
import view

TOKEN = re.compile(
    r"""(?P<section>^[ \t]*(?:types|dimensions|variables|data):[ \t]*$)
    |(?P<group>^[ \t]*group:[ \t])
    |(?P<comment>//[^\n]*)
    |(?P<string>"(?:[^"\\]|\\.)*")
    |(?P<mark>[{}();,=:])
    |(?P<word>(?:\\.|[^\s"{}();,=:])+)
    |(?P<space>\n|[^\S\n]+)""",
    re.X | re.M | re.S,
)
KINDS = {
    "byte": "i1", "char": "char", "short": "i2", "int": "i4", "float": "f4", "double": "f8", "ubyte": "u1",
    "ushort": "u2", "uint": "u4", "int64": "i8", "uint64": "u8", "string": "str",
}  # fmt: skip
FILL = {
    "i1": -127, "i2": -32767, "i4": -2147483647, "u1": 255, "u2": 65535, "u4": 4294967295, "i8": -9223372036854775806,
    "u8": 18446744073709551614, "f4": 9.969209968386869e36, "f8": 9.969209968386869e36, "str": "", "char": "",
}  # fmt: skip
SUFFIX = re.compile(r"^([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|NaN|Infinity))(ULL|UL|LL|UB|US|[bBsSlLuUfFdD])?$")
SUFFIX_KIND = {
    "b": "i1", "s": "i2", "u": "u4", "ub": "u1", "us": "u2", "l": "i4", "ll": "i8", "ul": "u4", "ull": "u8", "f": "f4", "d": "f8",
}  # fmt: skip


def parse(text):
    text = re.sub(r"= UNLIMITED ; // \((\d+) currently\)", r"= \1 ;", text)
    tokens = [(m.lastgroup, m.group()) for m in TOKEN.finditer(text)]
    tokens = [t for t in tokens if t[0] not in ("space", "comment")]
    reader = Reader(tokens)
    reader.expect("netcdf")
    while reader.next()[1] != "{":
        pass
    reader.body("", {})
    return reader.found


def name_of(word):
    return re.sub(r"\\(.)", r"\1", word)


def string_of(token):
    """ncdump prints bytes outside ASCII raw or as octal escapes."""
    escapes = {"n": b"\n", "t": b"\t", "r": b"\r", "b": b"\b", "f": b"\f", "v": b"\v"}
    raw = b""
    for octal, escaped, plain in re.findall(r"\\([0-7]{3})|\\(.)|([^\\]+)", token[1:-1], flags=re.S):
        raw += bytes([int(octal, 8)]) if octal else escapes.get(escaped, escaped.encode()) if escaped else plain.encode()
    return raw.decode("utf-8", "replace")


class Reader:
    def __init__(self, tokens):
        self.tokens = tokens
        self.at = 0
        self.found = {"attributes": {}, "variables": {}}
        self.enums = {}
        self.others = {}

    def next(self):
        token = self.tokens[self.at]
        self.at += 1
        return token

    def expect(self, word):
        token = self.next()
        if token[1].strip() != word:
            raise ValueError(f"CDL: {word} expected, {token[1]!r} found")

    def statement(self):
        """Tokens up to the next `;` outside braces."""
        taken, depth = [], 0
        while True:
            token = self.next()
            if token == ("mark", "{"):
                depth += 1
            elif token == ("mark", "}"):
                depth -= 1
            elif token == ("mark", ";") and depth <= 0:
                return taken
            taken.append(token)

    def body(self, path, outer):
        sizes = dict(outer)
        section = None
        self.found["attributes"].setdefault(path.rstrip("/"), {})
        while True:
            kind, word = self.tokens[self.at]
            if kind == "section":
                section = self.next()[1].strip().rstrip(":")
            elif kind == "group":
                self.next()
                name = name_of(self.next()[1])
                self.expect("{")
                self.body(f"{path}{name}/", sizes)
            elif (kind, word) == ("mark", "}"):
                self.next()
                return
            else:
                self._statement(section, self.statement(), path, sizes)

    def _statement(self, section, tokens, path, sizes):
        words = [t[1] for t in tokens]
        if section == "types":
            self._type(words)
        elif section == "dimensions":
            sizes[name_of(words[0])] = int(words[2])
        elif section == "data":
            self._data(tokens, path)
        elif ":" in words and (("=" not in words) or words.index(":") < words.index("=")):
            self._attribute(tokens, words, path)
        else:
            kind = self._kind(words[0])
            dims = [name_of(w) for w in words[3:-1] if w != ","] if len(words) > 2 else []
            shape = [sizes.get(d.rsplit("/", 1)[-1], 0) for d in dims]
            self.found["variables"][path + name_of(words[1])] = view.variable(kind, dims, shape, {}, None)
            self.others[path + name_of(words[1])] = words[0]

    def _kind(self, word):
        plain = name_of(word).rsplit("/", 1)[-1]
        if plain in KINDS:
            return KINDS[plain]
        if plain in self.enums:
            return "enum:" + self.enums[plain][0]
        return self.others.get("type " + plain, "compound")

    def _type(self, words):
        if "enum" in words:
            name = name_of(words[words.index("enum") + 1])
            inside = words[words.index("{") + 1 : words.index("}")]
            members = {name_of(inside[i]): int(inside[i + 2]) for i in range(0, len(inside), 4)}
            self.enums[name] = (KINDS[words[0]], members)
        elif "*" in words:
            self.others["type " + name_of(words[-1])] = "vlen"
        elif words[0] == "opaque":
            self.others["type " + name_of(words[-1])] = "opaque"

    def _attribute(self, tokens, words, path):
        colon, equals = words.index(":"), words.index("=")
        owner = name_of(words[colon - 1]) if colon and not (colon == 1 and words[0] in KINDS) else ""
        declared = words[0] if colon == 2 or (colon == 1 and not owner) else None
        name = name_of(words[colon + 1])
        value = self._attribute_value(tokens[equals + 1 :], declared)
        if owner:
            self.found["variables"][path + owner]["attributes"][name] = value
        else:
            self.found["attributes"][path.rstrip("/")][name] = value

    def _attribute_value(self, tokens, declared):
        items = [t for t in tokens if t != ("mark", ",")]
        if any(t == ("mark", "{") for t in items):
            return ["compound"]
        if items and items[0][0] == "string":
            texts = [string_of(t[1]) for t in items]
            return texts if declared == "string" else ["".join(texts)]
        if not items:
            return []
        numbers, kinds = [], set()
        for _, word in items:
            match = SUFFIX.match(word)
            if not match:
                return [name_of(word)]
            number, suffix = match.groups()
            kinds.add(SUFFIX_KIND.get((suffix or "").lower()) or ("i4" if re.match(r"^[-+]?\d+$", number) else "f8"))
            numbers.append(float(number) if not re.match(r"^[-+]?\d+$", number) else int(number))
        kind = KINDS.get(declared) or kinds.pop()
        return np.array(numbers, kind)

    def _data(self, tokens, path):
        variable = self.found["variables"][path + name_of(tokens[0][1])]
        kind = variable["dtype"]
        if kind in ("compound", "vlen", "opaque"):
            variable["unparsed"] = True
            return
        # Rows of an inner unlimited dimension stand in braces.
        items = [t for t in tokens[2:] if t[0] != "mark"]
        if kind == "char":
            variable["values"] = _chars(items, variable["shape"])
            return
        fill = self._fill(path, tokens[0][1], kind)
        if kind == "str":
            variable["values"] = [string_of(w) if k == "string" else ("" if w == "NIL" else fill) for k, w in items]
            return
        base = kind.split(":")[-1]
        names = self.enums.get(name_of(self.others[path + name_of(tokens[0][1])]).rsplit("/", 1)[-1], (0, {}))[1]
        values = [fill if w == "_" else _number(w, names) for _, w in items]
        try:
            variable["values"] = np.array(values, base).reshape(variable["shape"])
        except ValueError:
            variable["values"] = np.array(values, base)

    def _fill(self, path, name, kind):
        own = self.found["variables"][path + name_of(name)]["attributes"].get("_FillValue")
        if own is None:
            return FILL.get(kind.split(":")[-1], 0)
        if isinstance(own, list):
            members = {k: v for _, found in self.enums.values() for k, v in found.items()}
            return members.get(own[0], own[0])
        return own.tolist()[0]


def _number(word, names):
    if name_of(word) in names:
        return names[name_of(word)]
    number = SUFFIX.match(word).group(1)
    return int(number) if re.match(r"^[-+]?\d+$", number) else float(number)


def _chars(items, shape):
    rows = [string_of(w).encode("utf-8") if k == "string" else b"" for k, w in items]
    count = int(np.prod(shape)) if shape else 1
    width = shape[-1] if shape else 1
    if width and len(rows) == count // width:
        rows = [r.ljust(width, b"\0")[:width] for r in rows]
    raw = b"".join(rows).ljust(count, b"\0")[:count]
    return np.frombuffer(raw, "S1").reshape(shape)

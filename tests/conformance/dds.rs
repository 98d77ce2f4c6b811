//! A strict reader of DDS texts, from the grammar of section 5.2 alone.

/// A declaration. Of a Grid, the members are the array and then the maps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Declaration {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) dims: Vec<(Option<String>, usize)>,
    pub(crate) members: Vec<Declaration>,
}

/// Types of one value.
pub(crate) const TYPES: [&str; 9] =
    ["Byte", "Int16", "UInt16", "Int32", "UInt32", "Float32", "Float64", "String", "Url"];

impl Declaration {
    pub(crate) fn len(&self) -> usize {
        self.dims.iter().map(|(_, n)| n).product()
    }

    /// On one line: `Grid sst{Int16 sst[time=3] Float64 time[time=3]}`.
    pub(crate) fn outline(&self) -> String {
        let mut text = format!("{} {}", self.kind, self.name);
        if !TYPES.contains(&self.kind.as_str()) {
            let members: Vec<String> = self.members.iter().map(Self::outline).collect();
            text += &format!("{{{}}}", members.join(" "));
        }
        for (name, size) in &self.dims {
            text += &name.as_ref().map_or(format!("[{size}]"), |name| format!("[{name}={size}]"));
        }
        text
    }
}

/// The dataset's name and its declarations.
#[track_caller]
pub(crate) fn parse(text: &str) -> (String, Vec<Declaration>) {
    assert!(text.is_ascii() && !text.contains(['\r', '\t']), "netCDF-C refuses non-ASCII names: {text}");
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        assert!(indent % 2 == 0 && !line.ends_with(' ') && !line.is_empty(), "{line:?}");
    }
    let body = text.strip_prefix("Dataset {\n").expect("Dataset {");
    let end = body.rfind('}').unwrap();
    let name = body[end..].strip_prefix("} ").and_then(|n| n.strip_suffix(";\n")).expect("} name ;");
    assert!(!name.is_empty() && !name.contains([';', '/']), "{name}");
    let mut tokens = Tokens(tokens(&body[..end]));
    let mut all = Vec::new();
    while !tokens.0.is_empty() {
        all.push(tokens.declaration());
    }
    (name.to_owned(), all)
}

/// The outlines of all declarations, separated by `; `.
#[track_caller]
pub(crate) fn outline(text: &str) -> String {
    parse(text).1.iter().map(Declaration::outline).collect::<Vec<_>>().join("; ")
}

fn tokens(text: &str) -> Vec<String> {
    let mut spaced = text.to_owned();
    for c in ["{", "}", ";", "[", "]", "=", ":"] {
        spaced = spaced.replace(c, &format!(" {c} "));
    }
    spaced.split_whitespace().rev().map(str::to_owned).collect()
}

/// In reverse order.
struct Tokens(Vec<String>);

impl Tokens {
    fn next(&mut self) -> String {
        self.0.pop().expect("more text")
    }

    fn peek(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    #[track_caller]
    fn expect(&mut self, token: &str) {
        assert_eq!(self.next(), token);
    }

    fn name(&mut self) -> String {
        let name = self.next();
        let raw = |b: u8| b.is_ascii_alphanumeric() || b"_-+/%\\*!~'\"".contains(&b);
        assert!(name.bytes().all(raw), "5.2: a name that must be encoded: {name}");
        name
    }

    fn declaration(&mut self) -> Declaration {
        let kind = self.next();
        let mut members = Vec::new();
        match kind.as_str() {
            "Structure" | "Sequence" => {
                self.expect("{");
                while self.peek() != "}" {
                    members.push(self.declaration());
                }
                self.expect("}");
            }
            "Grid" => {
                for expected in ["{", "Array", ":"] {
                    self.expect(expected);
                }
                members.push(self.declaration());
                self.expect("Maps");
                self.expect(":");
                while self.peek() != "}" {
                    members.push(self.declaration());
                }
                self.expect("}");
            }
            kind => assert!(TYPES.contains(&kind), "no DAP2 type: {kind}"),
        }
        let name = self.name();
        let mut dims = Vec::new();
        while self.peek() == "[" {
            self.expect("[");
            let first = self.name();
            let dim = if self.peek() == "=" {
                self.expect("=");
                (Some(first), self.next().parse().unwrap())
            } else {
                (None, first.parse().unwrap())
            };
            dims.push(dim);
            self.expect("]");
        }
        self.expect(";");
        let found = Declaration { kind, name, dims, members };
        if found.kind == "Grid" {
            found.check_grid();
        }
        assert!(found.kind != "Sequence" || found.dims.is_empty(), "a Sequence has no dimensions");
        let mut names: Vec<&str> = found.members.iter().map(|m| m.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert!(names.len() == found.members.len(), "members with one name: {found:?}");
        found
    }
}

impl Declaration {
    /// 5.6: one map of rank 1 per dimension of the array, of its size, called like it.
    fn check_grid(&self) {
        let (array, maps) = self.members.split_first().unwrap();
        assert_eq!(array.name, self.name);
        assert!(!array.dims.is_empty() && maps.len() == array.dims.len() && self.dims.is_empty(), "{self:?}");
        for (map, dim) in maps.iter().zip(&array.dims) {
            assert_eq!(map.dims, std::slice::from_ref(dim), "{self:?}");
            assert_eq!(dim.0.as_ref(), Some(&map.name));
        }
    }
}

//! A reader of `.dods` written from the specification (protocol sections 5.2 and 5.4), not from the
//! encoder: it parses the DDS text it is given and follows that alone.

/// A declaration.
#[derive(Debug, Clone)]
pub(crate) struct Declaration {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) sizes: Vec<usize>,
    pub(crate) fields: Vec<Declaration>,
}

/// A decoded value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decoded {
    Number(f64),
    Text(String),
    Many(Vec<Decoded>),
    Record(Vec<(String, Decoded)>),
}

/// Splits a response at its `Data:` line and decodes it; everything must be used up.
pub(crate) fn decode(response: &[u8]) -> Vec<(Declaration, Decoded)> {
    let mark = b"\nData:\n";
    let at = response.windows(mark.len()).position(|w| w == mark).expect("a Data: line");
    let declarations = declarations(std::str::from_utf8(&response[..=at]).unwrap());
    let mut xdr = &response[at + mark.len()..];
    let decoded: Vec<_> = declarations
        .into_iter()
        .map(|d| {
            let v = value(&d, &mut xdr);
            (d, v)
        })
        .collect();
    assert!(xdr.is_empty(), "{} bytes left over", xdr.len());
    decoded
}

/// The declarations of a DDS.
pub(crate) fn declarations(dds: &str) -> Vec<Declaration> {
    let spaced =
        ["{", "}", ";", "[", "]", "="].iter().fold(dds.to_owned(), |t, c| t.replace(c, &format!(" {c} ")));
    let words: Vec<&str> = spaced.split_whitespace().collect();
    assert_eq!(words[..2], ["Dataset", "{"]);
    let mut at = 2;
    let found = list(&words, &mut at);
    assert_eq!(words.len(), at + 3, "`}} name ;` ends it");
    found
}

fn list(words: &[&str], at: &mut usize) -> Vec<Declaration> {
    let mut found = Vec::new();
    while words[*at] != "}" {
        if ["Array:", "Maps:"].contains(&words[*at]) {
            *at += 1;
            continue;
        }
        let kind = words[*at].to_owned();
        *at += 1;
        let mut fields = Vec::new();
        if words[*at] == "{" {
            *at += 1;
            fields = list(words, at);
            *at += 1;
        }
        let name = words[*at].to_owned();
        *at += 1;
        let mut sizes = Vec::new();
        while words[*at] == "[" {
            let close = *at + words[*at..].iter().position(|w| *w == "]").unwrap();
            sizes.push(words[close - 1].parse().unwrap());
            *at = close + 1;
        }
        assert_eq!(words[*at], ";");
        *at += 1;
        found.push(Declaration { kind, name, sizes, fields });
    }
    found
}

fn take<'a>(xdr: &mut &'a [u8], n: usize) -> &'a [u8] {
    let (head, rest) = xdr.split_at(n);
    *xdr = rest;
    head
}

fn int(xdr: &mut &[u8]) -> u32 {
    u32::from_be_bytes(take(xdr, 4).try_into().unwrap())
}

fn size(xdr: &mut &[u8]) -> usize {
    usize::try_from(int(xdr)).unwrap()
}

fn pad(xdr: &mut &[u8], n: usize) {
    assert!(take(xdr, (4 - n % 4) % 4).iter().all(|b| *b == 0));
}

fn value(d: &Declaration, xdr: &mut &[u8]) -> Decoded {
    if d.sizes.is_empty() {
        return scalar(d, xdr);
    }
    let n: usize = d.sizes.iter().product();
    assert_eq!(size(xdr), n, "count of {}", d.name);
    if !["String", "Url", "Structure"].contains(&d.kind.as_str()) {
        assert_eq!(size(xdr), n, "second count of {}", d.name);
    }
    if d.kind == "Byte" {
        let bytes = take(xdr, n);
        pad(xdr, n);
        return Decoded::Many(bytes.iter().map(|b| Decoded::Number((*b).into())).collect());
    }
    Decoded::Many((0..n).map(|_| scalar(d, xdr)).collect())
}

fn scalar(d: &Declaration, xdr: &mut &[u8]) -> Decoded {
    match d.kind.as_str() {
        "Byte" | "UInt16" | "UInt32" => Decoded::Number(int(xdr).into()),
        "Int16" | "Int32" => Decoded::Number(int(xdr).cast_signed().into()),
        "Float32" => Decoded::Number(f32::from_bits(int(xdr)).into()),
        "Float64" => Decoded::Number(f64::from_be_bytes(take(xdr, 8).try_into().unwrap())),
        "String" | "Url" => {
            let n = size(xdr);
            let text = String::from_utf8(take(xdr, n).to_vec()).unwrap();
            pad(xdr, n);
            Decoded::Text(text)
        }
        "Structure" | "Grid" => record(d, xdr),
        "Sequence" => {
            let mut rows = Vec::new();
            loop {
                match int(xdr) {
                    0x5a00_0000 => rows.push(record(d, xdr)),
                    0xa500_0000 => return Decoded::Many(rows),
                    other => panic!("{other:x} where a row begins or ends"),
                }
            }
        }
        other => panic!("type {other}"),
    }
}

fn record(d: &Declaration, xdr: &mut &[u8]) -> Decoded {
    Decoded::Record(d.fields.iter().map(|f| (f.name.clone(), value(f, xdr))).collect())
}

//! A strict reader of DAS texts, from the grammar and quoting of section 5.3 alone.

/// A container or an attribute.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Container(String, Vec<Node>),
    /// Type, name, values with escapes undone.
    Attribute(String, String, Vec<String>),
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Mark(char),
}

/// What stands in `Attributes { ... }`.
#[track_caller]
pub(crate) fn parse(text: &str) -> Vec<Node> {
    let mut tokens = tokens(text);
    tokens.reverse();
    assert_eq!(tokens.pop(), Some(Token::Word("Attributes".to_owned())));
    assert_eq!(tokens.pop(), Some(Token::Mark('{')));
    let nodes = nodes(&mut tokens);
    assert!(tokens.is_empty(), "after the end: {tokens:?}");
    nodes
}

/// The attributes of one container.
#[track_caller]
pub(crate) fn container<'a>(nodes: &'a [Node], name: &str) -> &'a [Node] {
    let found = nodes.iter().find_map(|node| match node {
        Node::Container(n, inner) if n == name => Some(inner.as_slice()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no container {name}"))
}

/// `Type v1|v2` of one attribute.
#[track_caller]
pub(crate) fn attribute(nodes: &[Node], name: &str) -> String {
    let found = nodes.iter().find_map(|node| match node {
        Node::Attribute(kind, n, values) if n == name => Some(format!("{kind} {}", values.join("|"))),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no attribute {name} in {nodes:?}"))
}

fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            ' ' | '\n' => {}
            '{' | '}' | ';' | ',' => found.push(Token::Mark(c)),
            '"' => {
                let mut value = String::new();
                loop {
                    match characters.next().expect("a closing quote") {
                        '"' => break,
                        '\\' => match characters.next().unwrap() {
                            'n' => value.push('\n'),
                            't' => value.push('\t'),
                            'r' => value.push('\r'),
                            'x' => {
                                let digits: String = characters.by_ref().take(2).collect();
                                value.push(char::from(u8::from_str_radix(&digits, 16).unwrap()));
                            }
                            other => value.push(other),
                        },
                        c => value.push(c),
                    }
                }
                found.push(Token::Quoted(value));
            }
            c => {
                let mut word = c.to_string();
                while let Some(c) = characters.next_if(|c| !" \n{};,\"".contains(*c)) {
                    word.push(c);
                }
                let raw = |b: u8| b.is_ascii_alphanumeric() || b"_-+/%\\*!~'.#:".contains(&b);
                assert!(word.bytes().all(raw), "5.3: a word that must be encoded or quoted: {word}");
                found.push(Token::Word(word));
            }
        }
    }
    found
}

fn nodes(tokens: &mut Vec<Token>) -> Vec<Node> {
    let mut found = Vec::new();
    loop {
        let first = match tokens.pop().expect("a closing brace") {
            Token::Mark('}') => return found,
            Token::Word(word) => word,
            other => panic!("a name, found {other:?}"),
        };
        match tokens.pop().unwrap() {
            Token::Mark('{') => found.push(Node::Container(first, nodes(tokens))),
            Token::Word(name) => found.push(attribute_node(first, name, tokens)),
            other => panic!("after {first}: {other:?}"),
        }
    }
}

fn attribute_node(kind: String, name: String, tokens: &mut Vec<Token>) -> Node {
    let mut values = Vec::new();
    loop {
        match tokens.pop().unwrap() {
            Token::Quoted(value) => {
                assert!(["String", "Url"].contains(&kind.as_str()), "{kind} {name}: a quoted number");
                values.push(value);
            }
            Token::Word(word) => {
                check_number(&kind, &word);
                values.push(word);
            }
            mark @ Token::Mark(_) => panic!("{name}: {mark:?}"),
        }
        match tokens.pop().unwrap() {
            Token::Mark(',') => {}
            Token::Mark(';') => return Node::Attribute(kind, name, values),
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// A number of its type; strings are always quoted.
fn check_number(kind: &str, word: &str) {
    let number = || word.parse::<i64>().unwrap_or_else(|e| panic!("{kind} {word}: {e}"));
    let fits = match kind {
        "Byte" => (0..=255).contains(&number()),
        "Int16" => i16::try_from(number()).is_ok(),
        "UInt16" => u16::try_from(number()).is_ok(),
        "Int32" => i32::try_from(number()).is_ok(),
        "UInt32" => u32::try_from(number()).is_ok(),
        "Float32" | "Float64" => word.parse::<f64>().is_ok(),
        other => panic!("no type of unquoted values: {other}"),
    };
    assert!(fits, "{kind} {word}");
}

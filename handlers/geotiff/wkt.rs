//! Well-known text of coordinate reference systems (OGC 01-009), as a tree.

#![warn(clippy::indexing_slicing)]

/// Deeper text is not a reference system.
const DEEPEST: usize = 24;

/// Longer text is not a reference system.
const LONGEST: usize = 64 << 10;

/// `KEYWORD["name", value, CHILD[...]]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Node {
    pub(crate) keyword: String,
    /// Texts and numbers, in order.
    pub(crate) values: Vec<String>,
    pub(crate) children: Vec<Node>,
}

impl Node {
    /// The tree of `text`; `None` when it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (node, rest) = node(text, 0)?;
        rest.trim().is_empty().then_some(node)
    }

    /// The first text.
    pub(crate) fn name(&self) -> &str {
        self.values.first().map_or("", String::as_str)
    }

    /// The number at `at` among the values.
    pub(crate) fn number(&self, at: usize) -> Option<f64> {
        self.values.get(at)?.parse().ok().filter(|n: &f64| n.is_finite())
    }

    pub(crate) fn child(&self, keyword: &str) -> Option<&Self> {
        self.children.iter().find(|c| c.keyword.eq_ignore_ascii_case(keyword))
    }

    /// The first node of this keyword at any depth.
    pub(crate) fn find(&self, keyword: &str) -> Option<&Self> {
        if self.keyword.eq_ignore_ascii_case(keyword) {
            return Some(self);
        }
        self.children.iter().find_map(|c| c.find(keyword))
    }
}

fn node(text: &str, depth: usize) -> Option<(Node, &str)> {
    let text = text.trim_start();
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
    let (keyword, rest) = text.split_at_checked(end).filter(|(keyword, _)| !keyword.is_empty())?;
    let mut rest = rest.trim_start().strip_prefix(['[', '('])?;
    let mut node = Node { keyword: keyword.to_owned(), ..Node::default() };
    loop {
        rest = rest.trim_start();
        let first = rest.chars().next()?;
        if first == '"' {
            let (value, after) = quoted(rest.get(1..)?)?;
            node.values.push(value);
            rest = after;
        } else if first.is_ascii_alphabetic()
            && rest.find(['[', '(']).is_some_and(|at| is_word(rest.get(..at)))
        {
            if depth >= DEEPEST {
                return None;
            }
            let (child, after) = self::node(rest, depth + 1)?;
            node.children.push(child);
            rest = after;
        } else {
            let end = rest.find([',', ']', ')'])?;
            let (value, after) = rest.split_at_checked(end)?;
            node.values.push(value.trim().to_owned());
            rest = after;
        }
        rest = rest.trim_start();
        let mut chars = rest.chars();
        match chars.next()? {
            ',' => rest = chars.as_str(),
            ']' | ')' => return Some((node, chars.as_str())),
            _ => return None,
        }
    }
}

fn is_word(text: Option<&str>) -> bool {
    text.is_some_and(|t| t.trim_end().chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

/// Text up to its closing quote; a doubled quote stands for one.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        value.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                value.push('"');
                rest = more;
            }
            None => return Some((value, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_and_what_is_none() {
        let tree =
            Node::parse(r#"GEOGCS["a ""b""",DATUM["d",SPHEROID["s",6378137,298.25]],AXIS["Lat",NORTH]]"#);
        let tree = tree.unwrap();
        assert_eq!(tree.name(), "a \"b\"");
        assert_eq!(tree.find("spheroid").unwrap().number(1), Some(6_378_137.0));
        assert_eq!(tree.child("AXIS").unwrap().values, ["Lat", "NORTH"]);
        for text in ["", "A", "A[", "A[\"", "A[1", "A[1,]x", "A]", &"A[".repeat(9999)] {
            assert_eq!(Node::parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_registered_system_is_a_tree() {
        let mut count = 0;
        for definition in (0..=u16::MAX).filter_map(crs_definitions::from_code) {
            if !definition.wkt.is_empty() {
                let tree = Node::parse(definition.wkt).unwrap_or_else(|| panic!("{}", definition.wkt));
                assert!(!tree.children.is_empty(), "{}", definition.wkt);
                count += 1;
            }
        }
        assert!(count > 6000);
    }
}

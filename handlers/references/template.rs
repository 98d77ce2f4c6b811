//! The small part of Jinja that reference files use: `{{name}}`, `{{f(c='text')}}`, `{{(i + 1) * 1000}}`.
//!
//! Integers, texts, arithmetic and calls of other templates; no statements, filters or methods. Expansion is
//! bounded in depth, steps and length.

#![warn(clippy::indexing_slicing)]

use std::{cell::Cell, collections::HashMap};

use cdm::{Error, Result};

/// Templates within templates.
const MOST_DEPTH: usize = 8;
/// Parentheses within parentheses.
const MOST_NESTED: usize = 16;
/// Names, numbers and signs looked at for one text.
const MOST_STEPS: u32 = 10_000;
/// Bytes of a made text.
const LONGEST: usize = 16 << 10;

/// The value of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// An integer.
    Integer(i64),
    /// Text.
    Text(String),
}

/// Names that stand for values.
#[derive(Debug, Default)]
pub(super) struct Scope(HashMap<String, Value>);

impl Scope {
    /// Makes `name` stand for `value`.
    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }
}

/// Templates by name.
#[derive(Debug, Default)]
pub(super) struct Templates(HashMap<String, String>);

impl Templates {
    /// # Errors
    /// `TooLarge` when one of them is.
    pub(super) fn new(templates: HashMap<String, String>) -> Result<Self> {
        if templates.values().any(|text| text.len() > LONGEST) {
            return Err(Error::too_large("a template is too long"));
        }
        Ok(Self(templates))
    }

    /// `text` with what is between double braces replaced by its value.
    ///
    /// # Errors
    /// `Corrupt` for a name that stands for nothing, or a template that refers to itself; `Unsupported` for
    /// an expression that is not known; `TooLarge` when the text would be too long.
    pub(super) fn render(&self, text: &str, scope: &Scope) -> Result<String> {
        let steps = Cell::new(MOST_STEPS);
        self.expand(text, scope, 0, &steps)
    }

    fn expand(&self, text: &str, scope: &Scope, depth: usize, steps: &Cell<u32>) -> Result<String> {
        if depth > MOST_DEPTH {
            return Err(Error::corrupt("a template refers to itself"));
        }
        let mut made = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            made.push_str(before);
            let (inside, after) = after.split_once("}}").ok_or_else(|| unsupported(text))?;
            let mut expression = Expression { rest: inside, templates: self, scope, depth, nested: 0, steps };
            match expression.sum()? {
                Value::Integer(n) => made.push_str(&n.to_string()),
                Value::Text(text) => made.push_str(&text),
            }
            if !expression.rest.trim_start().is_empty() {
                return Err(unsupported(inside));
            }
            if made.len() > LONGEST {
                return Err(too_long());
            }
            rest = after;
        }
        made.push_str(rest);
        if made.len() > LONGEST { Err(too_long()) } else { Ok(made) }
    }

    fn call(&self, name: &str, scope: &Scope, depth: usize, steps: &Cell<u32>) -> Result<Value> {
        let text = self.0.get(name).ok_or_else(|| {
            let name: String = name.chars().take(60).collect();
            Error::corrupt(format!("a template uses '{name}', which is not defined"))
        })?;
        if !text.contains("{{") {
            return Ok(Value::Text(text.clone()));
        }
        self.expand(text, scope, depth + 1, steps).map(Value::Text)
    }
}

/// What is left of an expression.
struct Expression<'a> {
    rest: &'a str,
    templates: &'a Templates,
    scope: &'a Scope,
    depth: usize,
    nested: usize,
    steps: &'a Cell<u32>,
}

impl<'a> Expression<'a> {
    /// Takes `sign`, if it comes next.
    fn take(&mut self, sign: &str) -> bool {
        match self.rest.trim_start().strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> &'a str {
        let text = self.rest.trim_start();
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        let (word, rest) = text.split_at_checked(end).unwrap_or((text, ""));
        self.rest = rest;
        word
    }

    fn sum(&mut self) -> Result<Value> {
        let mut left = self.product()?;
        loop {
            left = if self.take("+") {
                match (left, self.product()?) {
                    (Value::Integer(a), Value::Integer(b)) => integer(a.checked_add(b))?,
                    (Value::Text(a), Value::Text(b)) if a.len() + b.len() <= LONGEST => Value::Text(a + &b),
                    _ => return Err(unsupported(self.rest)),
                }
            } else if self.take("-") {
                let (a, b) = self.integers(left, Self::product)?;
                integer(a.checked_sub(b))?
            } else {
                return Ok(left);
            };
        }
    }

    fn product(&mut self) -> Result<Value> {
        let mut left = self.atom()?;
        loop {
            left = if self.take("*") {
                let (a, b) = self.integers(left, Self::atom)?;
                integer(a.checked_mul(b))?
            } else if self.take("//") {
                let (a, b) = self.integers(left, Self::atom)?;
                // Towards minus infinity, as in Python.
                let floor = a.checked_div(b).zip(a.checked_rem(b));
                integer(floor.map(|(q, r)| if r != 0 && (r < 0) != (b < 0) { q - 1 } else { q }))?
            } else if self.take("%") {
                let (a, b) = self.integers(left, Self::atom)?;
                integer(a.checked_rem(b).map(|r| if r != 0 && (r < 0) != (b < 0) { r + b } else { r }))?
            } else {
                return Ok(left);
            };
        }
    }

    fn integers(&mut self, left: Value, right: impl Fn(&mut Self) -> Result<Value>) -> Result<(i64, i64)> {
        match (left, right(self)?) {
            (Value::Integer(a), Value::Integer(b)) => Ok((a, b)),
            _ => Err(unsupported(self.rest)),
        }
    }

    fn atom(&mut self) -> Result<Value> {
        let left = self.steps.get().checked_sub(1).ok_or_else(too_long)?;
        self.steps.set(left);
        self.nested += 1;
        if self.nested > MOST_NESTED {
            return Err(unsupported("parentheses as deep as these"));
        }
        let value = self.atom_within();
        self.nested -= 1;
        value
    }

    fn atom_within(&mut self) -> Result<Value> {
        if self.take("(") {
            let value = self.sum()?;
            return if self.take(")") { Ok(value) } else { Err(unsupported(self.rest)) };
        }
        if self.take("-") {
            let (zero, n) = self.integers(Value::Integer(0), Self::atom)?;
            return integer(zero.checked_sub(n));
        }
        for quote in ['\'', '"'] {
            if self.take(quote.encode_utf8(&mut [0; 4])) {
                let (text, rest) = self.rest.split_once(quote).ok_or_else(|| unsupported(self.rest))?;
                self.rest = rest;
                return Ok(Value::Text(text.to_owned()));
            }
        }
        let whole = self.rest;
        let word = self.word();
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return integer(word.parse().ok());
        }
        if word.is_empty() {
            return Err(unsupported(whole));
        }
        if !self.take("(") {
            return match self.scope.0.get(word) {
                Some(value) => Ok(value.clone()),
                None => self.templates.call(word, self.scope, self.depth, self.steps),
            };
        }
        let mut arguments = Scope::default();
        while !self.take(")") {
            let name = self.word();
            if name.is_empty() || !self.take("=") {
                return Err(unsupported(whole));
            }
            let value = self.sum()?;
            arguments.set(name, value);
            self.take(",");
        }
        self.templates.call(word, &arguments, self.depth, self.steps)
    }
}

fn integer(n: Option<i64>) -> Result<Value> {
    n.map(Value::Integer).ok_or_else(|| Error::corrupt("a template makes an impossible number"))
}

fn unsupported(expression: &str) -> Error {
    let shown: String = expression.trim().chars().filter(|c| !c.is_control()).take(60).collect();
    Error::unsupported(format!("the template expression '{shown}' is not supported"))
}

fn too_long() -> Error {
    Error::too_large("a template expands to too much")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn templates(all: &[(&str, &str)]) -> Templates {
        Templates::new(all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()).unwrap()
    }

    #[test]
    fn expressions() {
        let known = templates(&[("u", "s3://b"), ("f", "<{{c}}>"), ("g", "{{f(c=d)}}{{ u }}")]);
        let mut scope = Scope::default();
        scope.set("i", Value::Integer(-7));
        scope.set("name", Value::Text("x".to_owned()));
        for (text, expect) in [
            ("plain {x} }}", "plain {x} }}"),
            ("{{u}}/a", "s3://b/a"),
            ("{{ i }}{{i*2}}", "-7-14"),
            ("{{(i + 1) * 1000 - 2}}", "-6002"),
            ("{{i // 2}} {{i % 2}} {{ -i % 4 }}", "-4 1 3"),
            ("{{f(c='y')}}", "<y>"),
            ("{{g(d=\"z\")}}", "<z>s3://b"),
            ("{{name + '/' + u}}", "x/s3://b"),
            ("{{f(c=1+1)}}", "<2>"),
        ] {
            assert_eq!(known.render(text, &scope).unwrap(), expect, "{text}");
        }
        for (text, kind) in [
            ("{{", "Unsupported"),
            ("{{}}", "Unsupported"),
            ("{{absent}}", "Corrupt"),
            ("{{i / 2}}", "Unsupported"),
            ("{{i // 0}}", "Corrupt"),
            ("{{i % 0}}", "Corrupt"),
            ("{{9223372036854775807 + 1}}", "Corrupt"),
            ("{{99999999999999999999}}", "Corrupt"),
            ("{{'%02d' % i}}", "Unsupported"),
            ("{{i | int}}", "Unsupported"),
            ("{{name.upper()}}", "Unsupported"),
            ("{{f(1)}}", "Unsupported"),
            ("{{f(c=1}}", "Unsupported"),
            ("{{(1}}", "Unsupported"),
        ] {
            let error = known.render(text, &scope).unwrap_err();
            assert_eq!(format!("{:?}", error.kind()), kind, "{text}: {error}");
        }
    }

    #[test]
    fn expansion_is_bounded() {
        let scope = Scope::default();
        let cyclic = templates(&[("a", "{{b}}"), ("b", "{{a()}}")]);
        assert_eq!(cyclic.render("{{a}}", &scope).unwrap_err().message(), "a template refers to itself");
        let twice = |name: &str| format!("{{{{{name}}}}}").repeat(200);
        let laughs = templates(&[("a", "lol"), ("b", &twice("a")), ("c", &twice("b")), ("d", &twice("c"))]);
        assert_eq!(laughs.render("{{d}}", &scope).unwrap_err().kind(), cdm::ErrorKind::TooLarge);
        let deep = format!("{{{{{}1{}}}}}", "(".repeat(100_000), ")".repeat(100_000));
        assert_eq!(laughs.render(&deep, &scope).unwrap_err().kind(), cdm::ErrorKind::Unsupported);
        let minus = format!("{{{{{}1}}}}", "-".repeat(100_000));
        assert_eq!(laughs.render(&minus, &scope).unwrap_err().kind(), cdm::ErrorKind::Unsupported);
    }
}

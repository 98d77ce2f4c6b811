//! The constraint grammar (protocol notes 4.1): text to [`Constraint`].
//!
//! Accepts the union of what the specification's prose, its grammar appendix, and servers in use
//! accept. Knows no dataset. Time is linear in the text: every choice but one is made on the next
//! character; the exception (a comma inside braces after a filter) reads one comparison twice.

#![warn(clippy::indexing_slicing)]

use cdm::filter::Relation;
use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{tag, take_while, take_while1},
    character::complete::char,
    combinator::{opt, recognize, value},
    error::ParseError,
};

use super::{
    constraint::{
        Axis, Clause, Constraint, DimensionSlice, Joint, Last, Operand, Part, Path, Predicate, SPECIAL, Step,
    },
    fault::{Checked, Fault},
};

/// Clauses, members and comparisons together.
const MOST_PROJECTIONS: usize = 1000;
/// Pairs of brackets behind one name.
const MOST_AXES: usize = 64;
/// Braces inside braces.
const DEEPEST: usize = 64;
/// Steps of one path.
const MOST_STEPS: usize = 128;
/// Parts of all slices together.
const MOST_PARTS: usize = 20_000;

/// Parses a constraint.
///
/// # Errors
/// What was found and what was expected, and where.
pub(super) fn parse(text: &str) -> Checked<Constraint> {
    let parser = Grammar { length: text.len(), ..Grammar::default() };
    match parser.constraint(text) {
        Ok((_, constraint)) => Ok(constraint),
        Err(nom::Err::Error(stop) | nom::Err::Failure(stop)) => {
            let at = text.len().saturating_sub(stop.left);
            let rest = text.get(at..).unwrap_or_default();
            let message = stop.message.unwrap_or_else(|| format!("unexpected {}", found(rest)));
            Err(Fault { advice: stop.advice, ..Fault::new(at, message) })
        }
        Err(nom::Err::Incomplete(_)) => Err(Fault::new(text.len(), "the constraint ends too early")),
    }
}

/// The slices at the beginning of `text`, which begins at byte `at` of the constraint, and what follows
/// them; `None` when something in brackets is no slice.
pub(super) fn slices(text: &str, at: usize) -> Option<(Vec<Axis>, &str)> {
    let parser = Grammar { length: at + text.len(), ..Grammar::default() };
    parser.slices(text).ok().map(|(rest, slices)| (slices, rest))
}

/// What stands at the beginning of `rest`, for a message.
fn found(rest: &str) -> String {
    match rest.chars().next() {
        None => "end".to_owned(),
        Some(c) if c.is_control() => "control character".to_owned(),
        Some(c) => format!("'{c}'"),
    }
}

/// Why and where parsing stopped: with `left` bytes to go.
#[derive(Debug)]
struct Stop {
    left: usize,
    message: Option<String>,
    advice: Option<String>,
}

impl ParseError<&str> for Stop {
    fn from_error_kind(input: &str, _: nom::error::ErrorKind) -> Self {
        Self { left: input.len(), message: None, advice: None }
    }

    fn append(_: &str, _: nom::error::ErrorKind, other: Self) -> Self {
        other
    }
}

type Parsed<'a, T> = IResult<&'a str, T, Stop>;

/// A definite error at `input`: no alternative is tried.
fn fail<T>(input: &str, message: impl Into<String>) -> Parsed<'_, T> {
    Err(nom::Err::Failure(Stop { left: input.len(), message: Some(message.into()), advice: None }))
}

/// A definite error with a thing to try.
fn fail_advising<T>(input: &str, message: impl Into<String>, advice: impl Into<String>) -> Parsed<'_, T> {
    let advice = Some(advice.into());
    Err(nom::Err::Failure(Stop { left: input.len(), message: Some(message.into()), advice }))
}

/// "expected this but found that".
fn expected<'a, T>(input: &'a str, what: &str) -> Parsed<'a, T> {
    fail(input, format!("expected {what} but found {}", found(input)))
}

fn blank(input: &str) -> &str {
    input.trim_start_matches([' ', '\t', '\r', '\n'])
}

fn special(c: char) -> bool {
    SPECIAL.contains(c)
}

/// The parser's state: what has been counted so far.
#[derive(Debug, Default)]
struct Grammar {
    length: usize,
    projections: std::cell::Cell<usize>,
    parts: std::cell::Cell<usize>,
}

impl Grammar {
    fn at(&self, input: &str) -> usize {
        self.length.saturating_sub(input.len())
    }

    fn count<'a>(&self, input: &'a str) -> Parsed<'a, ()> {
        self.projections.set(self.projections.get() + 1);
        if self.projections.get() > MOST_PROJECTIONS {
            return fail_advising(
                input,
                format!("more than {MOST_PROJECTIONS} names and comparisons"),
                "Ask for a group as a whole, or in several requests.",
            );
        }
        Ok((input, ()))
    }

    /// `ce = item *( ";" item ) [ ";" ]`
    fn constraint<'a>(&self, input: &'a str) -> Parsed<'a, Constraint> {
        let mut constraint = Constraint::default();
        let mut rest = blank(input);
        while !rest.is_empty() {
            (rest, ()) = self.item(rest, &mut constraint)?;
            rest = blank(rest);
            match rest.strip_prefix(';') {
                Some(next) => rest = blank(next),
                None if rest.is_empty() => {}
                None => return expected(rest, "';' or the end"),
            }
        }
        Ok((rest, constraint))
    }

    /// `fqn = slice`, or a clause.
    fn item<'a>(&self, input: &'a str, into: &mut Constraint) -> Parsed<'a, ()> {
        let (rest, path) = self.path(input)?;
        let Some(after) = blank(rest).strip_prefix('=') else {
            let (rest, clause) = self.clause_of(input, path, rest, 0)?;
            into.clauses.push(clause);
            return Ok((rest, ()));
        };
        self.count(input)?;
        let (rest, axis) = self.axis(blank(after))?;
        if path.steps.iter().any(|s| !s.slices.is_empty()) {
            return fail(input, "a dimension's name takes no slice before '='");
        }
        into.dimensions.push(DimensionSlice { path, axis });
        Ok((rest, ()))
    }

    /// The rest of a clause whose path has been read.
    fn clause_of<'a>(&self, start: &'a str, path: Path, input: &'a str, depth: usize) -> Parsed<'a, Clause> {
        self.count(start)?;
        let (rest, fields) = match blank(input).strip_prefix('{') {
            Some(inside) => {
                let (rest, fields) = self.fields(inside, depth + 1)?;
                (rest, Some(fields))
            }
            None => (input, None),
        };
        let (rest, filter) = match blank(rest).strip_prefix('|') {
            Some(after) => self.filter(blank(after), depth)?,
            None => (rest, Vec::new()),
        };
        Ok((rest, Clause { path, fields, filter }))
    }

    /// `clause *( ( ";" | "," ) clause ) "}"`
    fn fields<'a>(&self, input: &'a str, depth: usize) -> Parsed<'a, Vec<Clause>> {
        if depth > DEEPEST {
            return fail(input, format!("braces nested more than {DEEPEST} deep"));
        }
        let mut fields = Vec::new();
        let mut rest = blank(input);
        loop {
            let start = rest;
            let (after, path) = self.path(rest)?;
            let (after, clause) = self.clause_of(start, path, after, depth)?;
            fields.push(clause);
            rest = blank(after);
            let mut next = rest.chars();
            match next.next() {
                Some(';' | ',') => rest = blank(next.as_str()),
                Some('}') => return Ok((next.as_str(), fields)),
                _ => return expected(rest, "';' or '}'"),
            }
        }
    }

    /// `["/"] name [slices] *( ("/" | ".") name [slices] )`
    fn path<'a>(&self, input: &'a str) -> Parsed<'a, Path> {
        let (mut rest, slash) = opt(char('/')).parse(input)?;
        let mut path = Path { absolute: slash.is_some(), steps: Vec::new() };
        let mut joint = Joint::Slash;
        loop {
            let at = self.at(rest);
            if path.steps.len() >= MOST_STEPS {
                return fail(rest, format!("a name of more than {MOST_STEPS} components"));
            }
            let (after, (name, raw)) = name(rest)?;
            let (after, slices) = self.slices(after)?;
            path.steps.push(Step { at, joint, name, raw, slices });
            let mut next = after.chars();
            joint = match next.next() {
                Some('/') => Joint::Slash,
                Some('.') => Joint::Dot,
                _ => return Ok((after, path)),
            };
            rest = next.as_str();
        }
    }

    fn slices<'a>(&self, input: &'a str) -> Parsed<'a, Vec<Axis>> {
        let mut slices = Vec::new();
        let mut rest = input;
        while blank(rest).starts_with('[') {
            if slices.len() >= MOST_AXES {
                return fail(blank(rest), format!("more than {MOST_AXES} slices"));
            }
            let (after, axis) = self.axis(blank(rest))?;
            slices.push(axis);
            rest = after;
        }
        Ok((rest, slices))
    }

    /// `"[" [ part *( "," part ) ] "]"`
    fn axis<'a>(&self, input: &'a str) -> Parsed<'a, Axis> {
        let at = self.at(input);
        let Some(inside) = input.strip_prefix('[') else { return expected(input, "'['") };
        let mut rest = blank(inside);
        let mut parts = Vec::new();
        if let Some(after) = rest.strip_prefix(']') {
            return Ok((after, Axis { at, parts }));
        }
        loop {
            let (after, part) = part(rest)?;
            parts.push(part);
            self.parts.set(self.parts.get() + 1);
            if self.parts.get() > MOST_PARTS {
                return fail(rest, format!("more than {MOST_PARTS} slices"));
            }
            rest = blank(after);
            let mut next = rest.chars();
            match next.next() {
                Some(',') => rest = blank(next.as_str()),
                Some(']') => return Ok((next.as_str(), Axis { at, parts })),
                _ => return expected(rest, "']', ':' or ','"),
            }
        }
    }

    /// `pred *( "," pred )`; inside braces a comma may also begin the next member.
    fn filter<'a>(&self, input: &'a str, depth: usize) -> Parsed<'a, Vec<Predicate>> {
        let mut all = Vec::new();
        let mut rest = self.predicate(input, &mut all)?.0;
        while let Some(after) = blank(rest).strip_prefix(',') {
            let mut more = Vec::new();
            match self.predicate(blank(after), &mut more) {
                Ok((next, ())) => {
                    all.append(&mut more);
                    rest = next;
                }
                Err(nom::Err::Error(_)) if depth > 0 => return Ok((rest, all)),
                Err(stop) => return Err(stop),
            }
        }
        Ok((rest, all))
    }

    /// `operand op operand [ op operand ]`; the range form becomes two comparisons.
    fn predicate<'a>(&self, input: &'a str, into: &mut Vec<Predicate>) -> Parsed<'a, ()> {
        let at = self.at(input);
        let (rest, left) = self.operand(input)?;
        let (rest, relation) = comparison(&left, blank(rest))?;
        self.count(input)?;
        let middle_at = self.at(blank(rest));
        let (rest, middle) = self.operand(blank(rest))?;
        into.push(Predicate { at, left, relation, right: middle.clone() });
        let Ok((after, relation)) = operator(blank(rest)) else { return Ok((rest, ())) };
        let (rest, right) = self.operand(blank(after))?;
        into.push(Predicate { at: middle_at, left: middle, relation, right });
        Ok((rest, ()))
    }

    fn operand<'a>(&self, input: &'a str) -> Parsed<'a, Operand> {
        if let Ok((rest, number)) = number(input) {
            return Ok((rest, number));
        }
        if input.starts_with('"') {
            let (rest, (text, _)) = quoted(input)?;
            // A quoted name goes on with a member; a text does not.
            if !rest.starts_with('.') {
                return Ok((rest, Operand::Text(text)));
            }
        }
        let (rest, path) = self.path(input)?;
        if path.steps.iter().any(|s| !s.slices.is_empty()) {
            return fail(input, "a slice inside a filter");
        }
        Ok((rest, Operand::Member(path)))
    }
}

/// The operator behind `left`. Not finding one is a soft error: a comma may separate members.
fn comparison<'a>(left: &Operand, input: &'a str) -> Parsed<'a, Relation> {
    if let Operand::Member(path) = left
        && let [only] = path.steps.as_slice()
        && only.name == "ND"
        && input.starts_with('=')
        && !input.starts_with("==")
    {
        return fail_advising(input, "ND= is not supported", "Compare with the missing value by ==.");
    }
    operator(input).map_err(|stop| {
        let message = format!("expected a comparison (< <= > >= == != ~=) but found {}", found(input));
        stop.map(|stop| Stop { message: Some(message), ..stop })
    })
}

fn operator(input: &str) -> Parsed<'_, Relation> {
    alt((
        value(Relation::LessOrEqual, tag("<=")),
        value(Relation::GreaterOrEqual, tag(">=")),
        value(Relation::Equal, tag("==")),
        value(Relation::NotEqual, tag("!=")),
        value(Relation::Matches, tag("~=")),
        value(Relation::Less, tag("<")),
        value(Relation::Greater, tag(">")),
        value(Relation::Equal, tag("=")),
    ))
    .parse(input)
}

/// `i`, `i:`, `i:last`, `i:step:`, `i:step:last` or `*`.
fn part(input: &str) -> Parsed<'_, Part> {
    if let Some(rest) = input.strip_prefix('*') {
        return Ok((rest, Part { start: 0, step: 1, last: Last::End }));
    }
    let (rest, start) = index(input)?;
    let Some(after) = blank(rest).strip_prefix(':') else {
        return Ok((rest, Part { start, step: 1, last: Last::Start }));
    };
    let after = blank(after);
    if !starts_with_digit(after) {
        return Ok((after, Part { start, step: 1, last: Last::End }));
    }
    let (rest, second) = index(after)?;
    let Some(after) = blank(rest).strip_prefix(':') else {
        return Ok((rest, Part { start, step: 1, last: Last::Index(second) }));
    };
    let after = blank(after);
    if !starts_with_digit(after) {
        return Ok((after, Part { start, step: second, last: Last::End }));
    }
    let (rest, last) = index(after)?;
    Ok((rest, Part { start, step: second, last: Last::Index(last) }))
}

fn starts_with_digit(input: &str) -> bool {
    input.starts_with(|c: char| c.is_ascii_digit())
}

fn index(input: &str) -> Parsed<'_, u64> {
    if !starts_with_digit(input) {
        return expected(input, "an index (0 or more)");
    }
    let (rest, digits) = digits(input)?;
    match digits.parse() {
        Ok(index) => Ok((rest, index)),
        Err(_) => fail(input, "an index larger than any axis"),
    }
}

fn digits(input: &str) -> Parsed<'_, &str> {
    take_while1(|c: char| c.is_ascii_digit()).parse(input)
}

/// A decimal number that is not the beginning of a name.
fn number(input: &str) -> Parsed<'_, Operand> {
    let sign = || opt(alt((char('-'), char('+'))));
    let many = || take_while(|c: char| c.is_ascii_digit());
    let exponent = recognize((alt((char('e'), char('E'))), sign(), digits));
    let mantissa = alt((recognize((digits, opt((char('.'), many())))), recognize((char('.'), digits))));
    let (rest, text) = recognize((sign(), mantissa, opt(exponent))).parse(input)?;
    let ends = rest.chars().next().is_none_or(|c| c.is_whitespace() || (special(c) && !"./\\\"".contains(c)));
    let number = match (ends, text.parse::<i128>(), text.parse::<f64>()) {
        (true, Ok(integer), _) => Operand::Integer(integer),
        (true, _, Ok(real)) if real.is_finite() => Operand::Real(real),
        _ => return Err(nom::Err::Error(Stop::from_error_kind(input, nom::error::ErrorKind::Float))),
    };
    Ok((rest, number))
}

/// A name, unescaped and as written.
fn name(input: &str) -> Parsed<'_, (String, String)> {
    if input.starts_with('"') { quoted(input) } else { word(input) }
}

/// `"..."` with `\c` for any character.
fn quoted(input: &str) -> Parsed<'_, (String, String)> {
    let inside = input.strip_prefix('"').unwrap_or(input);
    let mut text = String::new();
    let mut characters = inside.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => {
                let raw = inside.get(..at).unwrap_or_default().to_owned();
                return Ok((characters.as_str(), (text, raw)));
            }
            '\\' => text.extend(characters.next().map(|(_, c)| c)),
            c => text.push(c),
        }
    }
    fail(input, "a quote that does not end")
}

/// A name without quotes: anything but special characters, with blanks inside but not at its ends.
fn word(input: &str) -> Parsed<'_, (String, String)> {
    let mut name = String::new();
    let mut end = 0; // of what has been taken as name, in bytes of input
    let mut blanks = String::new(); // seen since, and part of the name only if more follows
    let mut characters = input.char_indices();
    while let Some((at, c)) = characters.next() {
        let rest = characters.as_str();
        let plain = match c {
            ' ' if name.is_empty() => break,
            ' ' => {
                blanks.push(c);
                continue;
            }
            '\\' => match characters.next() {
                Some((_, escaped)) => escaped,
                None => break,
            },
            // `!` and `~` belong to names unless they begin an operator.
            '!' | '~' if !rest.starts_with('=') => c,
            c if special(c) || c.is_control() => break,
            c => c,
        };
        name.push_str(&blanks);
        blanks.clear();
        name.push(plain);
        end = input.len() - characters.as_str().len();
        debug_assert!(end > at, "a character was taken");
    }
    if name.is_empty() {
        return expected(input, "a name");
    }
    let (raw, rest) = input.split_at_checked(end).unwrap_or((input, ""));
    Ok((rest, (name, raw.to_owned())))
}

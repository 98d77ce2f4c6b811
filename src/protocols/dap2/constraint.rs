//! The DAP2 constraint language (protocol section 5.7): text to a syntax tree with positions, and back.
//! It does not know any dataset; [`super::resolve`] gives the tree its meaning.
#![warn(clippy::indexing_slicing)]

use std::fmt;

use cdm::{Error, ErrorKind, Result, filter::Relation};
use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{tag, take_while1},
    character::complete::{char, digit1, space0},
    combinator::{map, opt, value},
    multi::many0,
    sequence::{delimited, preceded},
};

/// Most projections in one constraint: what a URL of 64 KiB can name. netCDF-C names every small variable of a file at once.
const MAX_PROJECTIONS: usize = 32_768;
/// Most selection clauses in one constraint.
const MAX_SELECTIONS: usize = 1_000;
/// Most slices on one step, and most steps in one path.
const MAX_DEPTH: usize = 64;
/// Most constants in one `{a,b}` list.
const MAX_CONSTANTS: usize = 1_000;

/// Longer constraints are taken as written: each place is compared with each special name.
const LONGEST_RESPELLED: usize = 16_384;

/// A whole constraint expression; empty projections mean "everything".
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Constraint {
    /// What is wanted, in the order asked.
    pub projections: Vec<Projection>,
    /// Conditions on the rows of sequences; all must hold.
    pub selections: Vec<Clause>,
}

/// One comma-separated item.
#[derive(Debug, Clone, PartialEq)]
pub enum Projection {
    /// A variable, or a member of one.
    Path(Path),
    /// A server function.
    Call(Call),
}

/// One condition after `&`.
#[derive(Debug, Clone, PartialEq)]
pub enum Clause {
    /// `left relation right`; several right sides come from `{a,b}`, and one of them must hold.
    Comparison {
        /// Left side.
        left: Operand,
        /// The operator.
        relation: Relation,
        /// Right side, or the alternatives of a list.
        right: Vec<Operand>,
    },
    /// A filter function.
    Call(Call),
}

/// `name(arguments)`. No function is evaluated here, so the arguments stay text.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The function's name.
    pub name: String,
    /// What is between the outer parentheses.
    pub arguments: String,
    /// Where the name begins.
    pub at: At,
}

/// Steps separated by dots.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// At least one.
    pub steps: Vec<Step>,
}

/// A name with optional slices.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// As sent, after the URL has been decoded once; it may still hold `%XX`.
    pub name: String,
    /// One per dimension, or none.
    pub slices: Vec<Slice>,
    /// Where the name begins.
    pub at: At,
}

/// `[start:stride:stop]`, both ends included.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    /// First index.
    pub start: u64,
    /// Step, at least 1.
    pub stride: u64,
    /// Last index allowed; `None` for `*`.
    pub stop: Option<u64>,
    /// Where the bracket opens.
    pub at: At,
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A member of a sequence.
    Path(Path),
    /// A whole number.
    Integer(i128),
    /// Another finite number.
    Real(f64),
    /// A quoted text.
    Text(String),
}

/// A place in the constraint, kept as the distance from its end. Trees that differ in places only are equal.
#[derive(Debug, Clone, Copy, Default)]
pub struct At {
    from_end: usize,
}

impl PartialEq for At {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl At {
    fn of(rest: &str) -> Self {
        Self { from_end: rest.len() }
    }

    /// The character's number in `constraint`, counted from 1.
    pub fn column(self, constraint: &str) -> usize {
        let bytes = constraint.len().saturating_sub(self.from_end);
        constraint.get(..bytes).map_or(bytes, |before| before.chars().count()) + 1
    }
}

/// Parses a constraint that has been URL-decoded once.
///
/// # Errors
/// `BadRequest` with the position and what was expected there; `Unsupported` for libdap's slices by
/// value and typed constants.
pub fn parse(text: &str) -> Result<Constraint> {
    match constraint(text) {
        Ok((_, found)) => Ok(found),
        Err(nom::Err::Incomplete(_)) => Err(Error::bad_request("the constraint ends too early")),
        Err(nom::Err::Error(e) | nom::Err::Failure(e)) => {
            let column = At { from_end: e.from_end }.column(text);
            let found = text
                .get(text.len().saturating_sub(e.from_end)..)
                .and_then(|rest| rest.chars().next())
                .map_or("its end".to_owned(), |c| format!("'{c}'"));
            Err(Error::new(e.kind, format!("constraint: {} at character {column}, found {found}", e.message)))
        }
    }
}

/// Characters that end a name.
pub(super) fn is_special(c: char) -> bool {
    ",&[].()=<>{}\"".contains(c)
}

/// `text` with the decoded names that stand where a projection or a step of one begins replaced by their
/// printed forms; `None` when there is none, or the text is very long. `names` are pairs of both, the longest first. Clients decode
/// names like `k,l` or `i[j]` on their own, and then send what the grammar reads as something else.
pub(super) fn respell(text: &str, names: &[(String, String)]) -> Option<String> {
    if text.len() > LONGEST_RESPELLED {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut begins, mut found) = (text, true, false);
    while let Some(c) = rest.chars().next() {
        let ends = |after: &str| after.is_empty() || after.starts_with([',', '&', '[', '.']);
        let name = names.iter().find_map(|(decoded, printed)| {
            let after = rest.strip_prefix(decoded.as_str()).filter(|_| begins)?;
            ends(after).then_some((after, printed))
        });
        if let Some((after, printed)) = name {
            out.push_str(printed);
            (rest, begins, found) = (after, false, true);
            continue;
        }
        if c == '&' {
            // Selections quote what is special.
            out.push_str(rest);
            break;
        }
        out.push(c);
        begins = matches!(c, ',' | '.');
        rest = rest.get(c.len_utf8()..).unwrap_or("");
    }
    found.then_some(out)
}

/// What went wrong and how much text was left.
#[derive(Debug)]
struct Fault {
    from_end: usize,
    kind: ErrorKind,
    message: &'static str,
}

impl nom::error::ParseError<&str> for Fault {
    fn from_error_kind(input: &str, _: nom::error::ErrorKind) -> Self {
        Self { from_end: input.len(), kind: ErrorKind::BadRequest, message: "malformed expression" }
    }
    fn append(_: &str, _: nom::error::ErrorKind, other: Self) -> Self {
        other
    }
}

type Parsed<'a, T> = IResult<&'a str, T, Fault>;

fn refuse<'a, T>(rest: &'a str, message: &'static str) -> Parsed<'a, T> {
    Err(nom::Err::Failure(Fault { from_end: rest.len(), kind: ErrorKind::BadRequest, message }))
}

fn not_offered<'a, T>(rest: &'a str, message: &'static str) -> Parsed<'a, T> {
    Err(nom::Err::Failure(Fault { from_end: rest.len(), kind: ErrorKind::Unsupported, message }))
}

fn constraint(input: &str) -> Parsed<'_, Constraint> {
    let mut found = Constraint::default();
    let (mut rest, _) = space0(input)?;
    if !rest.is_empty() && !rest.starts_with('&') {
        loop {
            let (after, next) = projection(rest)?;
            found.projections.push(next);
            if found.projections.len() > MAX_PROJECTIONS {
                return refuse(rest, "expected at most 32768 projections");
            }
            let Some(more) = after.strip_prefix(',') else {
                rest = after;
                break;
            };
            rest = more;
        }
    }
    loop {
        // pydap sends a trailing `&`; empty clauses say nothing.
        rest = rest.trim_start_matches(['&', ' ']);
        if rest.is_empty() {
            return Ok((rest, found));
        }
        let (after, next) = clause(rest)?;
        found.selections.push(next);
        if found.selections.len() > MAX_SELECTIONS {
            return refuse(rest, "expected at most 1000 selections");
        }
        if !after.is_empty() && !after.starts_with('&') {
            return refuse(after, "expected '&' or the end");
        }
        rest = after;
    }
}

fn projection(input: &str) -> Parsed<'_, Projection> {
    let (rest, found) = alt((map(call, Projection::Call), map(path, Projection::Path))).parse(input)?;
    if rest.is_empty() || rest.starts_with([',', '&']) {
        Ok((rest, found))
    } else {
        refuse(rest, "expected '[', '.', ',', '&' or the end")
    }
}

/// A name goes on until a character that has a meaning; `!` is one only before `=`.
fn name(input: &str) -> Parsed<'_, (&str, At)> {
    let (input, _) = space0(input)?;
    let mut end = input.len();
    let mut chars = input.char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        let before_equals = c == '!' && matches!(chars.peek(), Some((_, '=')));
        if before_equals || c.is_control() || is_special(c) {
            end = i;
            break;
        }
    }
    match input.split_at_checked(end) {
        Some((text, rest)) if !text.trim_end().is_empty() => Ok((rest, (text.trim_end(), At::of(input)))),
        _ => refuse(input, "expected a name"),
    }
}

fn path(input: &str) -> Parsed<'_, Path> {
    let mut steps = Vec::new();
    let mut rest = input;
    loop {
        let (after, (text, at)) = name(rest)?;
        let (after, slices) = slices(after)?;
        steps.push(Step { name: text.to_owned(), slices, at });
        if steps.len() > MAX_DEPTH {
            return refuse(rest, "expected at most 64 steps in a path");
        }
        match after.strip_prefix('.') {
            Some(more) => rest = more,
            None => return Ok((after, Path { steps })),
        }
    }
}

fn slices(input: &str) -> Parsed<'_, Vec<Slice>> {
    let (rest, found) = many0(slice).parse(input)?;
    if found.len() > MAX_DEPTH { refuse(input, "expected at most 64 slices") } else { Ok((rest, found)) }
}

/// Fails softly when there is no bracket, for good after one.
fn slice(input: &str) -> Parsed<'_, Slice> {
    let (rest, _) = char('[').parse(input)?;
    if rest.trim_start().starts_with('(') {
        return not_offered(rest, "slices by value are not offered; expected an index");
    }
    let at = At::of(input);
    let (rest, first) = bound(rest)?;
    let (rest, second) = opt(preceded(char(':'), bound)).parse(rest)?;
    let (after, third) = opt(preceded(char(':'), bound)).parse(rest)?;
    let Some(end) = after.strip_prefix(']') else {
        return refuse(after, "expected ':' or ']'");
    };
    let found = match (first, second, third) {
        (None, None, None) => Slice { start: 0, stride: 1, stop: None, at },
        (Some(i), None, None) => Slice { start: i, stride: 1, stop: Some(i), at },
        (Some(start), Some(stop), None) => Slice { start, stride: 1, stop, at },
        (Some(start), Some(Some(stride)), Some(stop)) => Slice { start, stride, stop, at },
        _ => return refuse(input, "expected [i], [start:stop], [start:stride:stop] or [*]"),
    };
    if found.stride == 0 {
        return refuse(input, "expected a stride of at least 1");
    }
    if found.stop.is_some_and(|stop| stop < found.start) {
        return refuse(input, "expected a stop that is not before the start");
    }
    Ok((end, found))
}

/// An index, or `None` for `*`.
fn bound(input: &str) -> Parsed<'_, Option<u64>> {
    let number = |input| -> Parsed<'_, u64> {
        let (rest, digits) = digit1(input)?;
        match digits.parse() {
            Ok(n) => Ok((rest, n)),
            Err(_) => refuse(input, "expected an index below 2^64"),
        }
    };
    let spaced = delimited(space0, alt((value(None, char('*')), map(number, Some))), space0).parse(input);
    match spaced {
        Err(nom::Err::Error(_)) => refuse(input, "expected an index or '*'"),
        other => other,
    }
}

/// `name(...)` with balanced parentheses; scanned, not parsed, so that no depth can hurt.
fn call(input: &str) -> Parsed<'_, Call> {
    let mut word = take_while1(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let (inside, (at, name)) = {
        let (start, _) = space0(input)?;
        let (rest, name): (&str, &str) = word.parse(start)?;
        let (rest, _) = char('(').parse(rest)?;
        (rest, (At::of(start), name))
    };
    let mut depth = 1_usize;
    let mut quoted = false;
    let mut escaped = false;
    for (i, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let (arguments, rest) = (inside.get(..i).unwrap_or(""), inside.get(i + 1..).unwrap_or(""));
            return Ok((rest, Call { name: name.to_owned(), arguments: arguments.to_owned(), at }));
        }
    }
    refuse(input, "expected a closing ')'")
}

fn clause(input: &str) -> Parsed<'_, Clause> {
    if let Ok((rest, found)) = call(input)
        && (rest.is_empty() || rest.starts_with('&'))
    {
        return Ok((rest, Clause::Call(found)));
    }
    let (rest, left) = operand(input)?;
    let (rest, relation) = match relation(rest) {
        Err(nom::Err::Error(_)) => return refuse(rest, "expected a comparison (= != < <= > >= =~)"),
        other => other?,
    };
    let (rest, right) = if let Some(list) = rest.strip_prefix('{') { operands(list)? } else { single(rest)? };
    Ok((rest, Clause::Comparison { left, relation, right }))
}

fn single(input: &str) -> Parsed<'_, Vec<Operand>> {
    map(operand, |one| vec![one]).parse(input)
}

fn operands(input: &str) -> Parsed<'_, Vec<Operand>> {
    let mut found = Vec::new();
    let mut rest = input;
    loop {
        let (after, next) = operand(rest)?;
        found.push(next);
        if found.len() > MAX_CONSTANTS {
            return refuse(rest, "expected at most 1000 constants");
        }
        if let Some(end) = after.strip_prefix('}') {
            return Ok((end, found));
        }
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None => return refuse(after, "expected ',' or '}'"),
        }
    }
}

fn relation(input: &str) -> Parsed<'_, Relation> {
    delimited(
        space0,
        alt((
            value(Relation::Matches, tag("=~")),
            value(Relation::NotEqual, tag("!=")),
            value(Relation::LessOrEqual, tag("<=")),
            value(Relation::GreaterOrEqual, tag(">=")),
            value(Relation::Equal, tag("=")),
            value(Relation::Less, tag("<")),
            value(Relation::Greater, tag(">")),
        )),
        space0,
    )
    .parse(input)
}

fn operand(input: &str) -> Parsed<'_, Operand> {
    let (input, _) = space0(input)?;
    if let Some(inside) = input.strip_prefix('"') {
        return quoted(inside);
    }
    if input.starts_with('$') {
        return not_offered(input, "typed constants are not offered; expected a number, a text or a name");
    }
    // A number may hold a dot and a sign, which a name's step may not: look at the whole token first.
    let end = input.find(|c: char| ",&=<>!{}()[]\"".contains(c)).unwrap_or(input.len());
    if let Some((token, rest)) = input.split_at_checked(end) {
        let token = token.trim_end();
        if let Ok(n) = token.parse::<i128>() {
            return Ok((rest, Operand::Integer(n)));
        }
        let numeric = token.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
        if numeric
            && let Ok(x) = token.parse::<f64>()
            && x.is_finite()
        {
            return Ok((rest, Operand::Real(x)));
        }
    }
    let (rest, found) = path(input)?;
    Ok((rest, Operand::Path(found)))
}

/// The rest of a quoted text; `\"` and `\\` are the escapes.
fn quoted(input: &str) -> Parsed<'_, Operand> {
    let mut text = String::new();
    let mut chars = input.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Ok((input.get(i + 1..).unwrap_or("").trim_start(), Operand::Text(text))),
            '\\' => match chars.next() {
                Some((_, next @ ('"' | '\\'))) => text.push(next),
                Some((_, other)) => {
                    text.push('\\');
                    text.push(other);
                }
                None => break,
            },
            other => text.push(other),
        }
    }
    refuse("", "expected a closing '\"'")
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, projection) in self.projections.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            match projection {
                Projection::Path(path) => write!(f, "{comma}{path}")?,
                Projection::Call(call) => write!(f, "{comma}{call}")?,
            }
        }
        self.selections.iter().try_for_each(|clause| write!(f, "&{clause}"))
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(call) => write!(f, "{call}"),
            Self::Comparison { left, relation, right } => {
                write!(f, "{left}{}", symbol(*relation))?;
                if let [one] = right.as_slice() {
                    return write!(f, "{one}");
                }
                for (i, operand) in right.iter().enumerate() {
                    write!(f, "{}{operand}", if i == 0 { '{' } else { ',' })?;
                }
                f.write_str("}")
            }
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name, self.arguments)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            write!(f, "{}{}", if i > 0 { "." } else { "" }, step.name)?;
            for slice in &step.slices {
                match slice.stop {
                    Some(stop) => write!(f, "[{}:{}:{stop}]", slice.start, slice.stride)?,
                    None => write!(f, "[{}:{}:*]", slice.start, slice.stride)?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{path}"),
            Self::Integer(n) => write!(f, "{n}"),
            Self::Real(x) => write!(f, "{x:?}"),
            Self::Text(text) => write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        }
    }
}

/// As it is written between two values.
fn symbol(relation: Relation) -> &'static str {
    match relation {
        Relation::Equal => "=",
        Relation::NotEqual => "!=",
        Relation::Less => "<",
        Relation::LessOrEqual => "<=",
        Relation::Greater => ">",
        Relation::GreaterOrEqual => ">=",
        Relation::Matches => "=~",
    }
}

#[cfg(test)]
#[path = "constraint_tests.rs"]
mod tests;

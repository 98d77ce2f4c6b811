//! Which rows of a sequence are kept: comparisons between members and constants, all of which must hold.

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};

use crate::{
    DataType, Error, RecordType, Result,
    records::Cursor,
    value::{Value, decode_member},
};

/// A compiled regular expression may take this many bytes; matching is linear in the text.
const REGEX_SIZE_LIMIT: usize = 1 << 20;

/// All comparisons must hold for a row to be kept.
#[derive(Debug, Clone, Default)]
pub struct RowFilter {
    comparisons: Vec<(Comparison, Option<Regex>)>,
}

/// `left op right`.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Left side.
    pub left: Operand,
    /// How they compare.
    pub op: Relation,
    /// Right side.
    pub right: Operand,
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A member of the sequence's row: positions from the row's members down through structures.
    Member(Vec<usize>),
    /// A whole number.
    Integer(i128),
    /// Another number.
    Real(f64),
    /// A text.
    Text(String),
    /// Any of several constants (DAP2's `{a,b}`): the comparison holds if it holds for one of them.
    AnyOf(Vec<Operand>),
}

/// How two values compare. Numbers compare by value whatever their types; text by code point;
/// NaN equals nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// Left text matches the right regular expression, anywhere in it.
    Matches,
}

impl RowFilter {
    /// Checks that the members exist in `row` and that each comparison can be made.
    ///
    /// # Errors
    /// `BadRequest` naming what cannot be compared, or what is wrong with a regular expression.
    pub fn new(comparisons: Vec<Comparison>, row: &RecordType) -> Result<Self> {
        let comparisons = comparisons
            .into_iter()
            .map(|comparison| {
                let left = kind_of(&comparison.left, row)?;
                let right = kind_of(&comparison.right, row)?;
                if left != right || (comparison.op == Relation::Matches && left != Kind::Text) {
                    return Err(Error::bad_request(format!(
                        "{} cannot be compared with {}",
                        left.name(),
                        right.name()
                    )));
                }
                let regex = match (&comparison.op, &comparison.right) {
                    (Relation::Matches, Operand::Text(pattern)) => Some(compile(pattern)?),
                    (Relation::Matches, _) => {
                        return Err(Error::bad_request(
                            "the right side of =~ is a quoted regular expression",
                        ));
                    }
                    _ => None,
                };
                Ok((comparison, regex))
            })
            .collect::<Result<_>>()?;
        Ok(Self { comparisons })
    }

    /// Whether the record that begins at `record` is kept.
    ///
    /// # Errors
    /// `Internal` when the record is shorter than its type.
    pub fn accepts(&self, row: &RecordType, record: &[u8]) -> Result<bool> {
        for (comparison, regex) in &self.comparisons {
            let left = operand(&comparison.left, row, record)?;
            let holds = match (regex, &comparison.right) {
                (Some(regex), _) => text(&left).is_some_and(|t| regex.is_match(&t)),
                (None, Operand::AnyOf(several)) => {
                    let mut any = false;
                    for one in several {
                        any |= compare(comparison.op, &left, &operand(one, row, record)?);
                    }
                    any
                }
                (None, right) => compare(comparison.op, &left, &operand(right, row, record)?),
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Text => "a text",
        }
    }
}

fn kind_of(operand: &Operand, row: &RecordType) -> Result<Kind> {
    match operand {
        Operand::Integer(_) | Operand::Real(_) => Ok(Kind::Number),
        Operand::Text(_) => Ok(Kind::Text),
        Operand::AnyOf(several) => {
            let kinds = several.iter().map(|one| kind_of(one, row)).collect::<Result<Vec<_>>>()?;
            match kinds.split_first() {
                Some((first, rest)) if rest.iter().all(|k| k == first) => Ok(*first),
                _ => Err(Error::bad_request("a list of values holds values of one kind")),
            }
        }
        Operand::Member(path) => {
            let mut record = row;
            let mut steps = path.iter().peekable();
            while let Some(&position) = steps.next() {
                let field = record
                    .fields
                    .get(position)
                    .ok_or_else(|| Error::internal("a filter names a member that is not there"))?;
                if !field.dimensions.is_empty() {
                    return Err(Error::bad_request(format!(
                        "{} is an array: only single values can be compared",
                        field.name
                    )));
                }
                match &field.data_type {
                    DataType::Structure(inner) if steps.peek().is_some() => record = inner,
                    DataType::String | DataType::Url | DataType::Char => return Ok(Kind::Text),
                    DataType::Enum(_) => return Ok(Kind::Number),
                    other if other.is_numeric() => return Ok(Kind::Number),
                    other => {
                        return Err(Error::bad_request(format!(
                            "{} is of type {}, which cannot be compared",
                            field.name,
                            other.name()
                        )));
                    }
                }
            }
            Err(Error::internal("a filter names no member"))
        }
    }
}

fn compile(pattern: &str) -> Result<Regex> {
    RegexBuilder::new(pattern).size_limit(REGEX_SIZE_LIMIT).build().map_err(|e| {
        Error::bad_request(format!("the regular expression \"{pattern}\" is not valid")).with_source(e)
    })
}

fn operand<'a>(operand: &'a Operand, row: &'a RecordType, record: &'a [u8]) -> Result<Value<'a>> {
    match operand {
        Operand::Member(path) => member(path, row, record),
        Operand::Integer(i) => Ok(Value::Enum(*i, None)),
        Operand::Real(f) => Ok(Value::Float64(*f)),
        Operand::Text(t) => Ok(Value::Text(t.as_str().into())),
        Operand::AnyOf(_) => Err(Error::internal("a list of values inside a list of values")),
    }
}

fn member<'a>(path: &[usize], row: &'a RecordType, record: &'a [u8]) -> Result<Value<'a>> {
    let lost = || Error::internal("a filter names a member that is not there");
    let mut fields = &row.fields;
    let mut cursor = Cursor::new(record);
    let (leaf, above) = path.split_last().ok_or_else(lost)?;
    for &position in above {
        for field in fields.get(..position).ok_or_else(lost)? {
            cursor.skip_member(field)?;
        }
        fields = &fields.get(position).and_then(|f| f.data_type.record()).ok_or_else(lost)?.fields;
    }
    for field in fields.get(..*leaf).ok_or_else(lost)? {
        cursor.skip_member(field)?;
    }
    decode_member(fields.get(*leaf).ok_or_else(lost)?, &mut cursor)
}

fn text(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Text(t) => Some(t.to_string()),
        Value::Char(c) => Some(char::from(*c).to_string()),
        _ => None,
    }
}

fn compare(op: Relation, left: &Value<'_>, right: &Value<'_>) -> bool {
    let order = match (left.as_integer(), right.as_integer()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => match (left.as_f64(), right.as_f64()) {
            (Some(a), Some(b)) => a.partial_cmp(&b),
            _ => match (text(left), text(right)) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => None,
            },
        },
    };
    match op {
        Relation::Equal => order == Some(Ordering::Equal),
        // NaN equals nothing, so it differs from everything.
        Relation::NotEqual => order != Some(Ordering::Equal),
        Relation::Less => order == Some(Ordering::Less),
        Relation::LessOrEqual => order.is_some_and(Ordering::is_le),
        Relation::Greater => order == Some(Ordering::Greater),
        Relation::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        Relation::Matches => false,
    }
}

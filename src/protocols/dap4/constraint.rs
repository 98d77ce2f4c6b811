//! What a DAP4 constraint says, before any dataset is known: the tree, and its canonical text.
//!
//! Parsing is in [`super::grammar`], meaning in [`super::resolve`]. Every node carries the byte offset
//! where it began, for error messages.

use std::fmt::{self, Display, Formatter};

use cdm::filter::Relation;

/// A whole constraint: `/time=[0:9];/sst[][0:2:8];/station{name}|elevation<100`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Constraint {
    /// Slices of shared dimensions.
    pub(super) dimensions: Vec<DimensionSlice>,
    /// What is asked for; nothing means everything.
    pub(super) clauses: Vec<Clause>,
}

/// `/time=[0:9]`: every axis that uses the dimension is sliced so.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DimensionSlice {
    /// The dimension's name.
    pub(super) path: Path,
    /// Its slice.
    pub(super) axis: Axis,
}

/// One thing asked for, with what is kept of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clause {
    /// A variable, a member, or a group.
    pub(super) path: Path,
    /// `{x;y[0:2]}`; `None` when there are no braces.
    pub(super) fields: Option<Vec<Clause>>,
    /// Comparisons after `|`, all of which must hold.
    pub(super) filter: Vec<Predicate>,
}

/// A name in steps.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path {
    /// It begins with `/`.
    pub(super) absolute: bool,
    /// Never empty.
    pub(super) steps: Vec<Step>,
}

/// One component of a path with the slices behind it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// Byte offset in the constraint.
    pub(super) at: usize,
    /// What stands between this and the step before; of no meaning in the first.
    pub(super) joint: Joint,
    /// Without escapes and quotes.
    pub(super) name: String,
    /// As it was written, without quotes.
    pub(super) raw: String,
    /// One per pair of brackets.
    pub(super) slices: Vec<Axis>,
}

/// How a step follows the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    /// `/`: something in a group.
    Slash,
    /// `.`: a member of a structure.
    Dot,
}

/// `[0:2:8,11]`: the parts of one axis in order; none means "as it is".
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    /// Byte offset of `[`.
    pub(super) at: usize,
    /// The parts.
    pub(super) parts: Vec<Part>,
}

/// Indices `start`, `start + step` and so on, up to and including the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// First index.
    pub(super) start: u64,
    /// Distance of indices; may be 0 as written, which no dataset accepts.
    pub(super) step: u64,
    /// Where it stops.
    pub(super) last: Last,
}

/// The end of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// Only `start`.
    Start,
    /// This index at most.
    Index(u64),
    /// The end of the axis.
    End,
}

/// `left op right` between members and constants.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Predicate {
    /// Byte offset of the left side.
    pub(super) at: usize,
    /// Left side.
    pub(super) left: Operand,
    /// How they compare.
    pub(super) relation: Relation,
    /// Right side.
    pub(super) right: Operand,
}

/// A side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    /// A member of the sequence.
    Member(Path),
    /// A whole number.
    Integer(i128),
    /// Another number.
    Real(f64),
    /// A quoted text.
    Text(String),
}

impl Constraint {
    /// True when nothing is constrained.
    pub(super) fn is_empty(&self) -> bool {
        self.dimensions.is_empty() && self.clauses.is_empty()
    }
}

impl Path {
    /// Byte offset of the first step.
    pub(super) fn at(&self) -> usize {
        self.steps.first().map_or(0, |s| s.at)
    }
}

/// Characters that end a name unless escaped or quoted.
pub(super) const SPECIAL: &str = "/.[]{};,|<>=!~\"\\";

/// `items` with `between` between them.
fn joined<T: Display>(f: &mut Formatter<'_>, items: &[T], between: &str) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(between)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

impl Display for Constraint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        joined(f, &self.dimensions, ";")?;
        if !self.dimensions.is_empty() && !self.clauses.is_empty() {
            f.write_str(";")?;
        }
        joined(f, &self.clauses, ";")
    }
}

impl Display for DimensionSlice {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.path, self.axis)
    }
}

impl Display for Clause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)?;
        if let Some(fields) = &self.fields {
            f.write_str("{")?;
            joined(f, fields, ";")?;
            f.write_str("}")?;
        }
        if !self.filter.is_empty() {
            f.write_str("|")?;
            joined(f, &self.filter, ",")?;
        }
        Ok(())
    }
}

impl Display for Path {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            f.write_str(match (i, step.joint) {
                (0, _) if self.absolute => "/",
                (0, _) => "",
                (_, Joint::Slash) => "/",
                (_, Joint::Dot) => ".",
            })?;
            // Quotes need no thought about blanks, numbers and operators inside names.
            write!(f, "\"{}\"", Quoted(&step.name))?;
            joined(f, &step.slices, "")?;
        }
        Ok(())
    }
}

/// Text between quotes: `"` and `\` are escaped.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        Ok(())
    }
}

impl Display for Axis {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        joined(f, &self.parts, ",")?;
        f.write_str("]")
    }
}

impl Display for Part {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { start, step, last } = self;
        match last {
            Last::Start => write!(f, "{start}"),
            Last::Index(last) => write!(f, "{start}:{step}:{last}"),
            Last::End => write!(f, "{start}:{step}:"),
        }
    }
}

impl Display for Predicate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let relation = match self.relation {
            Relation::Equal => "==",
            Relation::NotEqual => "!=",
            Relation::Less => "<",
            Relation::LessOrEqual => "<=",
            Relation::Greater => ">",
            Relation::GreaterOrEqual => ">=",
            Relation::Matches => "~=",
        };
        write!(f, "{}{relation}{}", self.left, self.right)
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            // A quote at the beginning would read as a text.
            Self::Member(path) if !path.absolute => {
                path.steps.iter().enumerate().try_for_each(|(i, step)| {
                    f.write_str(match (i, step.joint) {
                        (0, _) => "",
                        (_, Joint::Slash) => "/",
                        (_, Joint::Dot) => ".",
                    })?;
                    escaped(f, &step.name)
                })
            }
            Self::Member(path) => path.fmt(f),
            Self::Integer(i) => write!(f, "{i}"),
            Self::Real(r) => write!(f, "{r:e}"),
            Self::Text(text) => write!(f, "\"{}\"", Quoted(text)),
        }
    }
}

/// A name without quotes, every character that could mean something else escaped.
fn escaped(f: &mut Formatter<'_>, name: &str) -> fmt::Result {
    for c in name.chars() {
        if !(c.is_alphabetic() || c == '_') {
            f.write_str("\\")?;
        }
        write!(f, "{c}")?;
    }
    Ok(())
}

//! Which rows of a sequence are kept: comparisons between members and constants, all of which must hold.

/// All comparisons must hold for a row to be kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RowFilter(pub Vec<Comparison>);

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

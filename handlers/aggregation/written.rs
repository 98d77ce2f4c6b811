//! Coordinate values as text: what a definition or a file name gives a member.

use cdm::{
    Attribute, Block, DataType, FullName, Variable,
    coordinates::{calendar::Calendar, date::Moment, time::TimeUnits},
};

/// Units of dates that come without: always the same, so that a set that loses its first member keeps them.
const UNITS: &str = "seconds since 1970-01-01T00:00:00Z";

/// What all texts of an aggregation are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// Whole numbers that an Int32 holds.
    Integers,
    /// Numbers.
    Numbers,
    /// ISO 8601.
    Dates,
    /// Something else.
    Names,
}

impl Written {
    /// Of words.
    pub(super) fn of<'a>(words: &(impl Iterator<Item = &'a str> + Clone)) -> Self {
        if words.clone().all(|w| w.parse::<i32>().is_ok()) {
            Self::Integers
        } else if words.clone().all(|w| w.parse::<f64>().is_ok_and(f64::is_finite)) {
            Self::Numbers
        } else if words.clone().all(|w| date(w).is_some()) {
            Self::Dates
        } else {
            Self::Names
        }
    }

    /// The type of the variable that holds them.
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Integers => DataType::Int32,
            Self::Numbers | Self::Dates => DataType::Float64,
            Self::Names => DataType::String,
        }
    }

    /// A coordinate variable for them, without dimensions.
    pub(super) fn variable(self, name: &FullName) -> Variable {
        let mut variable = Variable::new(name.short(), self.data_type(), Vec::new());
        if self == Self::Dates {
            variable.attributes.set(Attribute::text("standard_name", "time"));
            variable.attributes.set(Attribute::text("units", UNITS));
            variable.attributes.set(Attribute::text("calendar", "standard"));
        }
        variable
    }

    /// The words as values of that variable.
    pub(super) fn block(self, words: &[&str]) -> Option<Block> {
        let bytes: Option<Vec<Vec<u8>>> = match self {
            Self::Names => return Some(Block::varying(words)),
            Self::Integers => {
                words.iter().map(|w| Some(w.parse::<i32>().ok()?.to_ne_bytes().to_vec())).collect()
            }
            Self::Numbers => {
                words.iter().map(|w| Some(w.parse::<f64>().ok()?.to_ne_bytes().to_vec())).collect()
            }
            Self::Dates => words
                .iter()
                .map(|w| {
                    let units = TimeUnits::parse(UNITS, "").ok()?;
                    Some(units.value(date(w)?).to_ne_bytes().to_vec())
                })
                .collect(),
        };
        Some(Block::Fixed(bytes?.concat().into()))
    }
}

/// The words of a coordinate value: separated by commas or blanks, but a date may have a blank in it.
pub(super) fn words(text: &str) -> Vec<&str> {
    let text = text.trim();
    if date(text).is_some() {
        return vec![text];
    }
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|w| !w.is_empty()).collect()
}

/// A year and more: `10 11` are two numbers.
fn date(text: &str) -> Option<Moment> {
    if !text.get(1..)?.contains('-') {
        return None;
    }
    Moment::parse(text, Calendar::Standard).ok()
}

/// Words as values of a variable that exists: numbers as they are, dates in its units.
pub(super) fn as_values_of(words: &[&str], variable: &Variable) -> Option<Block> {
    let units = variable.attributes.text("units").unwrap_or_default();
    let calendar = variable.attributes.text("calendar").unwrap_or_default();
    let units = TimeUnits::parse(&units, &calendar).ok();
    let numbers: Option<Vec<u8>> = words
        .iter()
        .map(|word| {
            let number = if let Ok(number) = word.parse::<f64>() {
                number
            } else {
                let units = units.as_ref()?;
                units.value(Moment::parse(word, units.calendar()).ok()?)
            };
            super::fill::element(&DataType::Float64, &number.to_ne_bytes(), &variable.data_type)
        })
        .collect::<Option<Vec<_>>>()
        .map(|elements| elements.concat());
    Some(Block::Fixed(numbers?.into()))
}

//! What is wrong with a constraint, and where: the one shape of every parse and resolve error.
//!
//! Knows the text only by byte offset; [`Fault::into_error`] turns that into what a person counts.

use cdm::Error;

/// A fault at a byte offset of the constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Byte offset in the constraint.
    pub(super) at: usize,
    /// What is wrong, without a full stop.
    pub(super) message: String,
    /// One thing to try, a whole sentence.
    pub(super) advice: Option<String>,
}

/// `Result` with a [`Fault`].
pub(super) type Checked<T> = Result<T, Fault>;

impl Fault {
    /// A fault without advice.
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), advice: None }
    }

    /// Adds the thing to try.
    pub(super) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The error for the client: "what at character N of the constraint. What to try."
    pub(super) fn into_error(self, text: &str) -> Error {
        let before = text.get(..self.at.min(text.len())).unwrap_or(text);
        let character = before.chars().count() + 1;
        let advice = self.advice.map(|a| format!(" {a}")).unwrap_or_default();
        Error::bad_request(format!(
            "{} at character {character} of the constraint.{advice}",
            clipped(&self.message)
        ))
    }
}

/// A message that echoes at most this much of what the client sent.
fn clipped(message: &str) -> String {
    const MOST: usize = 400;
    if message.chars().count() <= MOST {
        message.to_owned()
    } else {
        message.chars().take(MOST).chain("...".chars()).collect()
    }
}

/// The candidate most like `wanted`, if any is near enough to be a slip of the pen.
pub(super) fn nearest<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing costs length times length: neither absurd names nor huge files may make an error slow.
    const LONGEST: usize = 200;
    const MOST: usize = 10_000;
    let lower = wanted.to_lowercase();
    if wanted.len() > LONGEST {
        return None;
    }
    candidates
        .take(MOST)
        .filter(|c| c.len() <= LONGEST)
        .map(|c| (strsim::damerau_levenshtein(&lower, &c.to_lowercase()), c))
        .filter(|(distance, c)| *distance <= 1 + c.len().max(wanted.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_counts_characters_not_bytes() {
        let error = Fault::new(4, "unexpected ]").advise("Remove it.").into_error("/äx]");
        assert_eq!(error.message(), "unexpected ] at character 4 of the constraint. Remove it.");
    }

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let names = ["temperature", "salinity", "time"];
        assert_eq!(nearest("temperatur", names.into_iter()), Some("temperature"));
        assert_eq!(nearest("TIME", names.into_iter()), Some("time"));
        assert_eq!(nearest("zzzzzz", names.into_iter()), None);
    }
}

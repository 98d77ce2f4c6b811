//! What a page asks of the protocols that serve its dataset: how they spell a variable, and how large an answer of
//! theirs is. The server knows them all; pages do not.

use std::fmt::Write as _;

use cdm::{Dataset, FullName, Result, Variable};
use futures::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::form::Choice;

/// A protocol that takes constraints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// DAP4.
    Dap4,
    /// DAP2.
    Dap2,
}

/// A variable in a protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spelled {
    /// Its name in a constraint, percent-encoded for a URL.
    pub name: String,
    /// How many of its axes the protocol slices.
    pub rank: usize,
}

/// The protocols as the server has them.
pub trait Access: Send + Sync {
    /// How `protocol` spells the variable `name`; else why it does not have it.
    ///
    /// # Errors
    /// In a few words.
    fn spelled(&self, protocol: Protocol, name: &FullName) -> std::result::Result<Spelled, String>;

    /// The bytes of the data that `query` asks for, without reading them; `None` when that cannot be known.
    ///
    /// # Errors
    /// As the data request itself is refused.
    fn measure<'a>(
        &'a self,
        protocol: Protocol,
        query: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<u64>>>;
}

/// A request for data: its URL, and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Address {
    pub(super) url: Option<String>,
    pub(super) query: Option<String>,
    /// The exact length of the answer.
    pub(super) bytes: Option<u64>,
    pub(super) problem: Option<String>,
}

impl Address {
    /// The URL below `base` of what was chosen, measured.
    pub(super) async fn of(
        protocol: Protocol,
        choice: &Choice,
        dataset: &Dataset,
        base: &str,
        access: &dyn Access,
    ) -> Self {
        if !choice.problems.is_empty() {
            return Self::default();
        }
        let refused = |problem: String| Self { problem: Some(problem), ..Self::default() };
        let query = match query(protocol, choice, dataset, access) {
            Ok(query) => query,
            Err(problem) => return refused(problem),
        };
        match access.measure(protocol, query.as_deref()).await {
            Ok(bytes) => {
                let suffix = match protocol {
                    Protocol::Dap4 => ".dap",
                    Protocol::Dap2 => ".dods",
                };
                let asked = query.as_ref().map(|q| format!("?{q}")).unwrap_or_default();
                Self { url: Some(format!("{base}{suffix}{asked}")), query, bytes, problem: None }
            }
            Err(e) => refused(e.message().to_owned()),
        }
    }

    pub(super) fn json(&self) -> Json {
        json!({ "url": self.url, "bytes": self.bytes, "problem": self.problem })
    }
}

/// The query of a data request; `None` when everything is asked for.
fn query(
    protocol: Protocol,
    choice: &Choice,
    dataset: &Dataset,
    access: &dyn Access,
) -> std::result::Result<Option<String>, String> {
    if choice.is_everything() {
        return Ok(None);
    }
    if protocol == Protocol::Dap4
        && choice.variables.is_empty()
        && let Some(parts) = shared(choice, access)
    {
        return Ok(Some(format!("dap4.ce={parts}")));
    }
    let variables = match protocol {
        Protocol::Dap4 => choice.with_coordinates(dataset),
        // A DAP2 Grid brings its coordinates.
        Protocol::Dap2 => choice.chosen(dataset),
    };
    let mut all = Vec::new();
    for (name, variable) in variables {
        match access.spelled(protocol, &name) {
            Ok(spelled) => all.push(projection(protocol, choice, &name, variable, &spelled)?),
            // Who asks for everything gets what there is.
            Err(_) if choice.variables.is_empty() => {}
            Err(why) => return Err(format!("{} is not served by this protocol: {why}", name.short())),
        }
    }
    if all.is_empty() {
        return Err("this protocol has none of the variables".to_owned());
    }
    Ok(Some(match protocol {
        Protocol::Dap4 => format!("dap4.ce={}", all.join(";")),
        Protocol::Dap2 => all.join(","),
    }))
}

/// Parts of shared dimensions, which are those of every variable that has them; `None` when an axis has no name.
fn shared(choice: &Choice, access: &dyn Access) -> Option<String> {
    let all = choice.axes.iter().filter_map(|axis| Some((axis, choice.parts.get(&axis.key)?)));
    let texts = all.map(|(axis, part)| {
        let name = axis.dimension.as_ref()?;
        let spelled = access.spelled(Protocol::Dap4, name).ok()?;
        let last = part.last().unwrap_or(part.start);
        Some(format!("{}=%5B{}:{}:{last}%5D", spelled.name, part.start, part.step))
    });
    Some(texts.collect::<Option<Vec<_>>>()?.join(";"))
}

fn projection(
    protocol: Protocol,
    choice: &Choice,
    name: &FullName,
    variable: &Variable,
    spelled: &Spelled,
) -> std::result::Result<String, String> {
    let mut text = spelled.name.clone();
    let parts = choice.parts_of(name, variable);
    if let Some(at) = (spelled.rank..parts.len()).find(|at| parts.get(*at).is_some_and(Option::is_some)) {
        let axis = variable.dimensions.get(at).and_then(|d| d.name.as_ref()).map_or("text", FullName::short);
        return Err(format!(
            "{} is text along {axis}, which this protocol sends whole; leave that axis whole",
            name.short()
        ));
    }
    let parts = parts.get(..spelled.rank.min(parts.len())).unwrap_or(&parts);
    if parts.iter().all(Option::is_none) {
        return Ok(text);
    }
    for (part, dimension) in parts.iter().zip(&variable.dimensions) {
        // Writing to a String cannot fail.
        let _ = match (part, protocol) {
            (Some(slice), _) => {
                let last = slice.last().unwrap_or(slice.start);
                write!(text, "%5B{}:{}:{last}%5D", slice.start, slice.step)
            }
            (None, Protocol::Dap4) => write!(text, "%5B%5D"),
            (None, Protocol::Dap2) => write!(text, "%5B0:1:{}%5D", dimension.size.saturating_sub(1)),
        };
    }
    Ok(text)
}

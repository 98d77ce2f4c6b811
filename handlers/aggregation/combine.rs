//! The one way to make members one.

use std::{fmt, sync::Arc};

use cdm::{Error, Result, Version};
use xxhash_rust::xxh3::Xxh3;

use super::{Combined, Member, forecast, join, tiled, union};
use crate::ncml::document::{Aggregation, Join};

/// Makes `members` one dataset called `name`, as `aggregation` says. Pure: nothing is read.
///
/// # Errors
/// `NotFound` when there is no member; what is wrong with the definition, or with all members.
pub fn combine(name: &str, aggregation: &Aggregation, members: Vec<Member>) -> Result<Combined> {
    if members.is_empty() {
        return Err(Error::not_found(format!("{name} has no members: {}", looked_for(aggregation))));
    }
    match &aggregation.join {
        Join::Union => union::union(name, aggregation, members),
        Join::Existing => join::existing(name, aggregation, members),
        Join::New => join::new(name, aggregation, members),
        Join::Tiled => tiled::tiled(name, aggregation, members),
        Join::Forecast(view) => forecast::combine(name, aggregation, view, &members),
    }
}

/// What would have been a member.
fn looked_for(aggregation: &Aggregation) -> String {
    if aggregation.scans.is_empty() {
        return match aggregation.members.as_slice() {
            [] => "the definition names none, and scans no folder".to_owned(),
            named => format!("none of the {} datasets that it names can be used", named.len()),
        };
    }
    let scans = aggregation.scans.iter().map(|scan| {
        let mut text = format!("in the folder \"{}\"", scan.location);
        for (what, value) in
            [("the glob", &scan.glob), ("the suffix", &scan.suffix), ("the pattern", &scan.pattern)]
        {
            if let Some(value) = value {
                text = format!("{text}, {what} \"{value}\"");
            }
        }
        text
    });
    format!("looked {}", scans.collect::<Vec<_>>().join("; "))
}

/// What identifies the result: the definition, the members and their versions.
pub(super) fn version_of(aggregation: &Aggregation, members: &[Member]) -> Version {
    let mut hash = Digest(Xxh3::new());
    // A hasher takes everything.
    let _ = fmt::write(&mut hash, format_args!("{aggregation:?}"));
    for member in members {
        let own =
            [Some(&member.name), Some(&member.version), member.coord_value.as_ref(), member.section.as_ref()];
        for text in own {
            hash.0.update(text.map_or(&[][..], |t| t.as_bytes()));
            hash.0.update(&[0]);
        }
    }
    Version { identity: Arc::from(format!("{:032x}", hash.0.digest128())), modified: None }
}

struct Digest(Xxh3);

impl fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

//! Protocol-neutral outputs of whole Sources.

pub mod cdl;
pub mod json;

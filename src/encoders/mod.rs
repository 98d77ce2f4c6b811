//! Protocol-neutral outputs of whole Sources.

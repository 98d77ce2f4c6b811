//! What coordinates mean, by the CF conventions: axes, time and calendars, coverage.

pub mod axes;
pub mod calendar;
mod coverage;
pub mod date;
pub mod linear;
pub mod ranges;
pub mod summarise;
pub mod summary;
pub mod time;
mod written;

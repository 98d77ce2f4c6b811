//! What coordinates mean, by the CF conventions: axes, time and calendars, coverage.

pub mod calendar;
pub mod date;
pub mod linear;
pub mod summary;
pub mod time;
mod written;

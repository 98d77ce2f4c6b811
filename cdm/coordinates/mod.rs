//! What coordinates mean, by the CF conventions: axes, time and calendars, coverage.

pub mod summary;

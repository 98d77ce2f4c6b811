//! DAP4.

//! DAP2.

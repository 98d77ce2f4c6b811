//! The Thalweg server: everything that speaks HTTP, and the command line.
//!
//! A request is one sentence: route -> open a [`cdm::Source`] -> wrap it -> encode it -> HTTP body.
//! `ARCHITECTURE.md` is the map.

pub mod access;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod encoders;
pub mod protocols;
pub mod server;

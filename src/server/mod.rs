//! The HTTP server: accept loop, layers, limits, routes, replies, shutdown.

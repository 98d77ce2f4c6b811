//! The command line: arguments to one function per command.

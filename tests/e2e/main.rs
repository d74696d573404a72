//! End-to-end tests: the real programs, from the outside.

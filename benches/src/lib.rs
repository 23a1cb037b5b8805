//! Benchmarks, each a ratio to a raw reference in the same run.

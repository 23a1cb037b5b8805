//! Every person their own OpenClaw: tenancy, quota, placement and reconciliation with pluggable backends.

//! The API over its in-process router: each row of the fault and attack tables that it has to hold, by name.

mod support;

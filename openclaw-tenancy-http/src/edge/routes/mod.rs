//! The route table: which instance a host name is, where it is and who may pass.

mod follow;
mod looks;
mod site;
mod table;

pub(super) use self::follow::Follower;
pub(super) use self::looks::Looks;
pub(super) use self::site::{Site, SiteRules};
pub(super) use self::table::RouteTable;

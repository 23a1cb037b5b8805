//! Bugs planted on purpose, each a mistake that was easy to make: a simulation that misses one has no teeth.

mod adapter;
mod planner;
mod store;

pub(crate) use adapter::Adapter;
pub(crate) use store::BuggyStore;

/// A planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A holder whose claim has passed on keeps it, and settles.
    FenceIsIgnored,
    /// A claim says that what it finds is known, although the one before it never settled.
    ClaimForgetsUnknown,
    /// A host is filled without looking at what it has.
    PlaceIgnoresCapacity,
    /// The row is removed when its deletion is asked for.
    EraseFirst,
    /// A create is answered before it is written, and then lost.
    AnswerBeforeDurable,
    /// A second create with one key makes a second tenant.
    KeyIsIgnored,
    /// "id already in use" is taken for a broken container, which is removed and made anew.
    GhostTakenForBroken,
    /// A lost start is followed by a removal without asking again.
    RemoveAfterLostStart,
    /// A container is started again without its being written first that this start may be lost.
    NeverDoubts,
    /// An object is removed without a look at its labels.
    ForeignIsRemoved,
    /// A suspension removes the data as a deletion does.
    SuspendRemovesData,
    /// The place is given back while objects are still there.
    LeaveEarly,
    /// A container that was asked to end is never ended by force.
    NeverKills,
    /// An instance that ended is never started again.
    NeverRestarts,
    /// A route is published when the container starts, whoever has its address.
    SharedSubnet,
    /// A host's list shows no networks.
    KeepsLateNetworks,
    /// A deletion stops when the container is gone.
    LeaveNetworks,
    /// A settlement drops the hold that it should write.
    HoldIsForgotten,
    /// A container is made with what the plan says, whatever the host has granted.
    MadeWithThePlansLimits,
    /// A signal goes to every container whose name begins as ours do.
    ForeignIsSignalled,
    /// What has the name that an object of ours is to have is removed, whosever it is.
    ForeignMakesWay,
    /// What is left over on a host is not written.
    LeftoversAreNotTold,
    /// Engine calls begin without the claim being renewed before them.
    NeverRenews,
    /// A create that finds what it asked for is taken for a conflict.
    NeverAdopts,
    /// A route stays as it was when the instance was first ready.
    RouteIsCached,
    /// A claim that its worker did not give back is never given to another.
    LeaseNeverEnds,
    /// A host that does not answer is taken for one on which nothing is.
    SilenceIsAbsence,
    /// What has the name of an object of ours is taken for it, whosever it is.
    AdoptsForeign,
    /// A settlement drops what the tenant waits for.
    QueueIsForgotten,
    /// What has failed is not looked at again.
    NeverTriedAgain,
    /// A pass writes that it made the newest wish so, whichever it had read.
    ConvergesTheNewest,
}

impl Bug {
    pub(crate) const ALL: [Self; 31] = [
        Self::FenceIsIgnored,
        Self::ClaimForgetsUnknown,
        Self::PlaceIgnoresCapacity,
        Self::EraseFirst,
        Self::AnswerBeforeDurable,
        Self::KeyIsIgnored,
        Self::GhostTakenForBroken,
        Self::RemoveAfterLostStart,
        Self::NeverDoubts,
        Self::ForeignIsRemoved,
        Self::SuspendRemovesData,
        Self::LeaveEarly,
        Self::NeverKills,
        Self::NeverRestarts,
        Self::SharedSubnet,
        Self::KeepsLateNetworks,
        Self::LeaveNetworks,
        Self::HoldIsForgotten,
        Self::MadeWithThePlansLimits,
        Self::ForeignIsSignalled,
        Self::ForeignMakesWay,
        Self::LeftoversAreNotTold,
        Self::NeverRenews,
        Self::NeverAdopts,
        Self::RouteIsCached,
        Self::LeaseNeverEnds,
        Self::SilenceIsAbsence,
        Self::AdoptsForeign,
        Self::QueueIsForgotten,
        Self::NeverTriedAgain,
        Self::ConvergesTheNewest,
    ];

    /// A seed whose story finds it.
    pub(crate) const fn recorded_seed(self) -> u64 {
        match self {
            Self::ConvergesTheNewest => 1421,
            Self::AdoptsForeign => 126,
            Self::SilenceIsAbsence => 29,
            Self::NeverTriedAgain => 126,
            Self::QueueIsForgotten => 6,
            Self::NeverDoubts => 65214,
            Self::FenceIsIgnored => 1895,
            Self::NeverRenews => 226,
            Self::ClaimForgetsUnknown => 210,
            Self::MadeWithThePlansLimits => 243,
            Self::ForeignMakesWay => 74,
            Self::RemoveAfterLostStart => 47,
            Self::NeverKills => 24,
            Self::RouteIsCached => 18,
            Self::GhostTakenForBroken | Self::HoldIsForgotten => 7,
            Self::LeftoversAreNotTold => 100,
            Self::KeepsLateNetworks => 48,
            Self::EraseFirst | Self::LeaveEarly | Self::LeaveNetworks | Self::LeaseNeverEnds => 4,
            Self::ForeignIsSignalled | Self::NeverRestarts => 2,
            Self::PlaceIgnoresCapacity
            | Self::ForeignIsRemoved
            | Self::SharedSubnet
            | Self::SuspendRemovesData => 1,
            Self::AnswerBeforeDurable | Self::KeyIsIgnored | Self::NeverAdopts => 0,
        }
    }
}

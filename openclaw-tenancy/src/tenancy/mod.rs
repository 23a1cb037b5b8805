//! The facade: what a person, an operator and a server ask of a deployment.

mod builder;
mod error;
mod running;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use builder::{BuildError, TenancyBuilder};
pub use error::TenancyError;

use crate::access::Account;
use crate::backend::ContainerBackend;
use crate::clock::{Clock, Entropy};
use crate::host::{Host, Shortage};
use crate::id::{AccountId, HostId, Slug, TenantId, WorkerId};
use crate::plan::{Plan, PlanCatalog};
use crate::quantity::Bytes;
use crate::quota::PlanPolicy;
use crate::reconcile::{Context, Signals};
use crate::routes::{Route, route};
use crate::scheduler::{Fleet, Request};
use crate::status::{Deadlines, Phase, Status, status};
use crate::store::{Change, Cordon, Created, StoreError, TenantStore};
use crate::tenant::{Desired, IdempotencyKey, NewTenant, Power, Settings, Tenant};

/// How often a random host-name label is drawn anew when the drawn one is taken.
const SLUG_ATTEMPTS: usize = 4;

/// A deployment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tenancy(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    context: Arc<Context>,
    plans: PlanCatalog,
    policy: PlanPolicy,
    host_labels: BTreeMap<HostId, BTreeMap<String, String>>,
    signals: Arc<Signals>,
}

/// What somebody asks for with an instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CreateRequest {
    /// The plan; the policy's default unless given.
    pub plan: Option<String>,
    /// The host-name label; a random one unless given.
    pub name: Option<String>,
    /// The settings.
    pub settings: Settings,
}

/// A tenant with what is derived from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantView {
    /// The tenant.
    pub tenant: Tenant,
    /// What it is doing.
    pub status: Status,
    /// How many wait before it, while it waits for a host.
    pub queue_position: Option<u64>,
    /// Where it is opened.
    pub url: String,
}

/// What a create came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// The tenant.
    pub view: TenantView,
    /// Whether the same request had made it before.
    pub replayed: bool,
}

impl Tenancy {
    /// Begins to put a deployment together.
    #[must_use]
    pub fn builder() -> TenancyBuilder {
        TenancyBuilder::default()
    }

    /// Asks for an instance for `account`.
    ///
    /// # Behavior
    /// - Decides the plan by policy, refuses one that no host could hold or that is too small for the image,
    ///   writes what is wanted and returns. The reconciler makes it so; [`wait_until`](Self::wait_until) waits for it.
    /// - While a host has not been looked at yet, no plan is refused for its size: the instance is queued, and says so.
    /// - The instance is `account.id`'s. Nothing asks here whether an [`AccessStore`](crate::access::AccessStore) knows
    ///   that account: whoever calls has signed the person in.
    ///
    /// # Errors
    /// [`TenancyError`]; nothing was written, except where [`StoreError::Unavailable`] leaves it open.
    ///
    /// # Idempotency
    /// By `key`, scoped to the account: the same request again gives the same instance.
    pub async fn create(
        &self,
        account: &Account,
        request: CreateRequest,
        key: Option<String>,
    ) -> Result<Creation, TenancyError> {
        let Context {
            clock,
            entropy,
            store,
            blueprint,
            ..
        } = &*self.0.context;
        let entitled = account.rights.plan.as_ref();
        let plan = self
            .0
            .policy
            .choose(&self.0.plans, request.plan.as_deref(), entitled)?;
        let name = request.name.as_deref().map(Slug::chosen).transpose()?;
        settings::check(&request.settings)?;
        let idempotency = key.map(|key| IdempotencyKey {
            key,
            request: request_digest(&request, plan),
        });
        if let Err(unfit) = self.check_fit(plan).await {
            // Whoever has an instance is answered by the store: the same key gives the same instance.
            if store.find_by_owner(account.id).await?.is_none() {
                return Err(unfit);
            }
        }
        let mut attempts = 0;
        let created = loop {
            attempts += 1;
            let new = NewTenant {
                id: TenantId::generate(&**clock, &**entropy),
                slug: name.clone().unwrap_or_else(|| Slug::generate(&**entropy)),
                owner: account.id,
                settings: request.settings.clone(),
                desired: Desired {
                    power: Power::Running,
                    plan: plan.name.clone(),
                    limits: plan.limits,
                    image: blueprint.image.clone(),
                    restart_epoch: 0,
                },
                created_at: clock.now(),
                seats: plan.seats,
                idempotency: idempotency.clone(),
            };
            match store.create(new).await {
                Err(StoreError::SlugTaken { .. }) if name.is_none() && attempts < SLUG_ATTEMPTS => {
                }
                other => break other?,
            }
        };
        self.stir();
        let replayed = matches!(created, Created::Replayed(_));
        Ok(Creation {
            view: self.show(created.tenant()).await?,
            replayed,
        })
    }

    /// The account's instance.
    ///
    /// # Errors
    /// [`TenancyError::NoTenant`], [`TenancyError::Store`].
    ///
    /// # Idempotency
    /// Reads only.
    pub async fn mine(&self, account: AccountId) -> Result<TenantView, TenancyError> {
        let tenant = self.find(account).await?;
        self.show(tenant).await
    }

    /// Runs, suspends or deletes the account's instance.
    ///
    /// # Errors
    /// [`TenancyError::NoTenant`], [`TenancyError::Store`].
    ///
    /// # Idempotency
    /// Asking for what is wanted already is success.
    pub async fn set_power(
        &self,
        account: AccountId,
        power: Power,
    ) -> Result<TenantView, TenancyError> {
        let tenant = self.find(account).await?;
        self.change(tenant.id, Change::Power(power)).await
    }

    /// Restarts the account's instance.
    ///
    /// # Errors
    /// [`TenancyError::NoTenant`], [`TenancyError::Store`].
    ///
    /// # Idempotency
    /// Not: each call is a restart.
    pub async fn restart(&self, account: AccountId) -> Result<TenantView, TenancyError> {
        let tenant = self.find(account).await?;
        self.change(tenant.id, Change::Restart).await
    }

    /// Any tenant, for an operator.
    ///
    /// # Errors
    /// [`TenancyError::NoTenant`], [`TenancyError::Store`].
    ///
    /// # Idempotency
    /// Reads only.
    pub async fn view(&self, id: TenantId) -> Result<TenantView, TenancyError> {
        let tenant = self.store().get(id).await?.ok_or(TenancyError::NoTenant)?;
        self.show(tenant).await
    }

    /// A page of all tenants, for an operator; the second value begins the next page.
    ///
    /// # Errors
    /// [`TenancyError::Store`].
    ///
    /// # Idempotency
    /// Reads only.
    pub async fn list(
        &self,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<(Vec<TenantView>, Option<TenantId>), TenancyError> {
        let page = self.store().list(after, limit).await?;
        let mut views = Vec::with_capacity(page.tenants.len());
        for tenant in page.tenants {
            views.push(self.show(tenant).await?);
        }
        Ok((views, page.next))
    }

    /// Changes what is wanted of any tenant, for an operator.
    ///
    /// # Errors
    /// [`TenancyError::Store`].
    ///
    /// # Idempotency
    /// As [`TenantStore::change`].
    pub async fn change(&self, id: TenantId, change: Change) -> Result<TenantView, TenancyError> {
        let now = self.clock().now();
        let tenant = self.store().change(id, None, change, now).await?;
        self.stir();
        self.show(tenant).await
    }

    /// Ends a hold, for an operator who has looked at the host.
    ///
    /// # Errors
    /// [`TenancyError::Store`].
    ///
    /// # Idempotency
    /// Without a hold it changes nothing.
    pub async fn release(&self, id: TenantId) -> Result<TenantView, TenancyError> {
        let tenant = self.store().release(id, self.clock().now()).await?;
        self.stir();
        self.show(tenant).await
    }

    /// Every host, for an operator.
    ///
    /// # Errors
    /// [`TenancyError::Store`].
    ///
    /// # Idempotency
    /// Reads only.
    pub async fn hosts(&self) -> Result<Vec<Host>, TenancyError> {
        Ok(self.store().hosts().await?)
    }

    /// Stops or allows new instances on a host.
    ///
    /// # Errors
    /// [`TenancyError::Store`].
    ///
    /// # Idempotency
    /// Again is success.
    pub async fn cordon(&self, host: HostId, cordon: Cordon) -> Result<(), TenancyError> {
        Ok(self.store().cordon(host, cordon).await?)
    }

    /// Ends a host's quarantine, for an operator who has looked at the machine and says that it is the right one.
    ///
    /// # Behavior
    /// Its next look gives it a marker; then its tenants that are held for it go on, each by a pass of its own. One
    /// whose data is not on the host any more is not started on nothing: it is held for that.
    ///
    /// # Errors
    /// [`TenancyError::Store`].
    ///
    /// # Idempotency
    /// Without a quarantine it changes nothing.
    pub async fn release_host(&self, host: HostId) -> Result<(), TenancyError> {
        self.store().release_host(host).await?;
        self.stir();
        Ok(())
    }

    /// Forgets a host that has left the configuration, for an operator.
    ///
    /// # Behavior
    /// Nothing on the host is touched. A replica that still has it makes it known again when it starts.
    ///
    /// # Errors
    /// [`TenancyError::HostConfigured`] while the backend has it; [`TenancyError::Store`] with
    /// [`StoreError::HostInUse`] while an instance has its place there;
    /// [`TenancyError::Backend`] when the backend cannot say which hosts it has.
    ///
    /// # Idempotency
    /// A host that was forgotten is not found.
    pub async fn remove_host(&self, host: HostId) -> Result<(), TenancyError> {
        if self.0.context.backend.hosts().await?.contains(&host) {
            return Err(TenancyError::HostConfigured { host });
        }
        Ok(self.store().remove_host(host).await?)
    }

    /// Makes the backend's hosts known to the store. [`run`](Self::run) does at its start; call it whenever hosts may
    /// have come since, and before it for an error instead of a line in the log.
    ///
    /// # Behavior
    /// - A host gets the labels that [`TenancyBuilder::host_labels`] was told, also none.
    /// - A host of which it was told nothing keeps the labels it has in the store.
    ///
    /// # Errors
    /// [`TenancyError::Store`]; a backend that cannot list its hosts now is logged, and those known stay.
    ///
    /// # Idempotency
    /// Again is success.
    pub async fn register_hosts(&self) -> Result<(), TenancyError> {
        match self.0.context.backend.hosts().await {
            Ok(hosts) => {
                let known = self.store().hosts().await?;
                let known: BTreeSet<HostId> = known.into_iter().map(|host| host.id).collect();
                for host in hosts {
                    let labels = match self.0.host_labels.get(&host) {
                        Some(labels) => labels.clone(),
                        None if known.contains(&host) => continue,
                        None => BTreeMap::new(),
                    };
                    self.store().put_host(host, labels).await?;
                }
            }
            Err(error) => {
                tracing::error!(error = %crate::error::chain(&error), "cannot list the hosts");
            }
        }
        self.stir();
        Ok(())
    }

    /// The row of the route table for a tenant.
    #[must_use]
    pub fn route(&self, tenant: &Tenant) -> Route {
        route(tenant, self.deadlines())
    }

    /// The plans.
    #[must_use]
    pub fn plans(&self) -> &PlanCatalog {
        &self.0.plans
    }

    /// Which plans people may take by themselves.
    #[must_use]
    pub fn policy(&self) -> &PlanPolicy {
        &self.0.policy
    }

    /// How long phases may last.
    #[must_use]
    pub fn deadlines(&self) -> &Deadlines {
        &self.0.context.blueprint.deadlines
    }

    /// The name by which this one claims work: no other start of any replica has it.
    #[must_use]
    pub fn worker(&self) -> &WorkerId {
        &self.0.context.worker
    }

    /// The state.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn TenantStore> {
        &self.0.context.store
    }

    /// The engines.
    #[must_use]
    pub fn backend(&self) -> &Arc<dyn ContainerBackend> {
        &self.0.context.backend
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.context.clock
    }

    /// Randomness.
    #[must_use]
    pub fn entropy(&self) -> &Arc<dyn Entropy> {
        &self.0.context.entropy
    }

    /// What a pass works with: for simulations that drive the loop by hand.
    #[must_use]
    pub fn context(&self) -> &Arc<Context> {
        &self.0.context
    }

    async fn find(&self, account: AccountId) -> Result<Tenant, TenancyError> {
        self.store()
            .find_by_owner(account)
            .await?
            .ok_or(TenancyError::NoTenant)
    }

    async fn show(&self, tenant: Tenant) -> Result<TenantView, TenancyError> {
        let status = status(&tenant, self.deadlines());
        let queue_position = match status.phase {
            Phase::Queued => self.store().queue_position(tenant.id).await?,
            Phase::Provisioning
            | Phase::Starting
            | Phase::Running
            | Phase::Stopping
            | Phase::Suspended
            | Phase::Deleting
            | Phase::Failed { .. }
            | Phase::HostLost { .. }
            | Phase::Held { .. } => None,
        };
        let url = format!("{}/", self.0.context.blueprint.origins.origin(&tenant.slug));
        Ok(TenantView {
            tenant,
            status,
            queue_position,
            url,
        })
    }

    /// Refuses a plan that no host could hold even if it were empty: waiting would not help.
    async fn check_fit(&self, plan: &Plan) -> Result<(), TenancyError> {
        let Context {
            scheduler,
            blueprint,
            ..
        } = &*self.0.context;
        let hosts = self.store().hosts().await?;
        let fleet = Fleet::new(&hosts, &blueprint.overcommit);
        let request = Request {
            limits: plan.limits,
            floor: blueprint.floor,
            labels: std::collections::BTreeMap::new(),
        };
        let Err(refusal) = scheduler.place(&request, &fleet) else {
            return Ok(());
        };
        if !refusal.hopeless {
            return Ok(());
        }
        let floors: Option<Vec<Bytes>> = refusal
            .hosts
            .iter()
            .map(|(_, lack)| match lack {
                Shortage::ImageFloor { available, .. } => Some(*available),
                Shortage::CpuPerInstance { .. }
                | Shortage::Cpu { .. }
                | Shortage::Memory { .. }
                | Shortage::NotTaking { .. } => None,
            })
            .collect();
        Err(match floors.and_then(|floors| floors.into_iter().max()) {
            Some(available) => TenancyError::PlanBelowImageFloor {
                plan: plan.name.clone(),
                needed: blueprint.floor,
                available,
            },
            None => TenancyError::PlanDoesNotFit {
                plan: plan.name.clone(),
                hosts: refusal.hosts,
            },
        })
    }
}

/// What of a request must be the same for an idempotency key to mean the same.
fn request_digest(request: &CreateRequest, plan: &Plan) -> String {
    let mut hash = Sha256::new();
    let Settings { email, timezone } = &request.settings;
    for part in [
        Some(plan.name.as_str()),
        request.name.as_deref(),
        email.as_deref(),
        timezone.as_deref(),
    ] {
        hash.update([u8::from(part.is_some())]);
        let part = part.unwrap_or_default();
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    crate::labels::hex(&hash.finalize())
}

//! The engines, schedulers and identity in memory keep every rule: bare, wrapped, and behind an `Arc<dyn>`.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::bench::Bench;
use async_trait::async_trait;
use openclaw_tenancy::backend::ContainerBackend;
use openclaw_tenancy::conformance::identity::IdentityFixture;
use openclaw_tenancy::identity::{Identity, IdentityProvider, LoginAnswer, LoginStep, Subject};
use openclaw_tenancy::memory::{Faults, Faulty, MemoryIdentity};
use secrecy::SecretString;

mod bare {
    use super::{Arc, Bench};

    openclaw_tenancy::conformance_backend!(async {
        Some(Bench::new(|backend, _| Arc::new(backend)))
    });
}

mod with_faults_that_do_not_come {
    use super::{Arc, Bench, Faults, Faulty};

    openclaw_tenancy::conformance_backend!(async {
        Some(Bench::new(|backend, clock| {
            Arc::new(Faulty::new(Arc::new(backend), Faults::new(clock)))
        }))
    });
}

mod wrapped_twice_behind_a_dyn {
    use super::{Arc, Bench, ContainerBackend, Faults, Faulty};

    openclaw_tenancy::conformance_backend!(async {
        Some(Bench::new(|backend, clock| {
            let inner: Arc<dyn ContainerBackend> = Arc::new(backend);
            Arc::new(Faulty::new(inner, Faults::new(clock)))
        }))
    });
}

mod spread {
    openclaw_tenancy::conformance_scheduler!(openclaw_tenancy::scheduler::Spread);
}

mod bin_pack {
    openclaw_tenancy::conformance_scheduler!(openclaw_tenancy::scheduler::BinPack);
}

#[derive(Debug)]
struct People(MemoryIdentity);

impl People {
    fn new() -> Self {
        let provider = MemoryIdentity::new("memory");
        for subject in ["ada", "grace"] {
            let identity = Identity {
                who: Subject {
                    issuer: "memory".to_owned(),
                    subject: subject.to_owned(),
                },
                email: None,
                email_verified: false,
                name: None,
                groups: BTreeSet::new(),
            };
            provider.know(&secret(subject), identity);
        }
        Self(provider)
    }
}

fn secret(subject: &str) -> String {
    format!("the-token-of-{subject}")
}

#[async_trait]
impl IdentityFixture for People {
    fn provider(&self) -> Arc<dyn IdentityProvider> {
        Arc::new(self.0.clone())
    }

    fn people(&self) -> [Subject; 2] {
        ["ada", "grace"].map(|subject| Subject {
            issuer: "memory".to_owned(),
            subject: subject.to_owned(),
        })
    }

    async fn token(&self, who: &Subject) -> Option<SecretString> {
        Some(SecretString::from(secret(&who.subject)))
    }

    async fn answer(&self, who: &Subject, step: LoginStep, _: &SecretString) -> LoginAnswer {
        assert!(matches!(step, LoginStep::Password), "{step:?}");
        LoginAnswer::Password {
            username: who.subject.clone(),
            password: SecretString::from(secret(&who.subject)),
        }
    }

    async fn finish(&self) {}
}

mod identity {
    use super::People;

    openclaw_tenancy::conformance_identity!(async { Some(People::new()) });
}

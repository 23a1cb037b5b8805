//! The rules of [`AccessStore`].

mod account;
mod grant;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use account::*;
use grant::*;

use super::Rule;
use crate::access::AccessStore;

/// A store to try the rules on, empty when it is made.
#[async_trait]
pub trait AccessFixture: fmt::Debug + Send + Sync + 'static {
    /// The store.
    fn access(&self) -> Arc<dyn AccessStore>;

    /// The same rows as another process would see them; the same store where there can be no other process.
    fn replica(&self) -> Arc<dyn AccessStore>;

    /// Cleans up after a rule that held.
    async fn finish(&self);
}

/// Every rule.
pub const RULES: &[Rule<dyn AccessFixture>] = crate::conformance_access!(@list table []);

/// Expands to one `#[tokio::test]` for each rule of [`AccessStore`].
///
/// The argument is an expression that is evaluated anew for each test: a future of `Option<impl`
/// [`AccessFixture`](crate::conformance::access::AccessFixture)`>`. `None` skips the test; say why when giving it.
#[macro_export]
macro_rules! conformance_access {
    (@list $how:ident [$($with:tt)*]) => {
        $crate::conformance_access! { @$how [$($with)*]
            put_grant_refuses_a_secret_in_use
            put_grant_keeps_the_newest_of_an_account_and_kind
            grant_is_read_any_number_of_times
            grant_ends_when_it_expires
            grants_of_one_kind_never_stand_in_for_another
            take_grant_gives_it_once
            concurrent_takes_give_it_once
            revoke_grants_ends_those_of_the_kind_and_account
            sweep_grants_removes_what_has_expired
            sign_in_makes_an_account_once
            sign_in_brings_contact_text_up_to_date
            sign_in_keeps_contact_text_that_is_not_sent
            sign_in_binds_to_issuer_and_subject_alone
            sign_in_refuses_an_id_in_use
            concurrent_sign_ins_give_one_account
            account_finds_only_what_is_there
            accounts_are_listed_once_each_in_pages
            set_account_rights_keeps_them
            set_account_rights_refuses_what_is_not_there
            has_admin_tells_whether_one_administers
            put_password_keeps_the_first_unless_told_otherwise
            concurrent_first_passwords_have_one_winner
            password_finds_only_what_is_there
            meta_keeps_the_first_value
            concurrent_meta_gives_everybody_one_value
        }
    };
    (@test [$fixture:expr] $($rule:ident)*) => {
        $crate::conformance_tests! { access AccessFixture [$fixture] $($rule)* }
    };
    (@table [] $($rule:ident)*) => {
        &[$($crate::conformance::Rule {
            name: stringify!($rule),
            check: |fixture| Box::pin($rule(fixture)),
        }),*]
    };
    ($fixture:expr) => {
        $crate::conformance_access! { @list test [$fixture] }
    };
}

//! Reading labels off what an engine shows.

use std::collections::{BTreeMap, HashMap};

use openclaw_tenancy::backend::Scope;
use openclaw_tenancy::labels::{LabelKeys, ObjectLabels, PREFIX};

/// What the labels of the object called `name` say, or `None` when it is not ours.
pub(super) fn read(
    keys: &LabelKeys,
    name: &str,
    labels: Option<&HashMap<String, String>>,
) -> Option<ObjectLabels> {
    let ours: BTreeMap<String, String> = labels?
        .iter()
        .filter(|(key, _)| key.starts_with(PREFIX))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    keys.read(name, &ours)
}

/// The labels that make the object called `name` ours, in the client library's type.
pub(super) fn sign(keys: &LabelKeys, name: &str, labels: &ObjectLabels) -> HashMap<String, String> {
    keys.sign(name, labels).into_iter().collect()
}

/// The filter of a listing that selects what may be ours in `scope`; the MAC still decides.
pub(super) fn filter(keys: &LabelKeys, scope: Scope) -> HashMap<String, Vec<String>> {
    let mut labels = vec![keys.filter()];
    if let Scope::Tenant(tenant) = scope {
        labels.push(format!("{PREFIX}.tenant={tenant}"));
    }
    HashMap::from([("label".to_owned(), labels)])
}

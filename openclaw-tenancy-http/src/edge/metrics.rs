//! What the edge counts. No label has a tenant, a path or a host in it: series stay few.

use http::StatusCode;
use metrics::{Counter, Gauge, counter, gauge};

/// Handles made once: a lookup by name for each request would cost more than the count.
#[derive(Debug)]
pub(super) struct EdgeMetrics {
    answers: [Counter; 5],
    unreachable: Counter,
    turned_away: Counter,
    connections: Gauge,
    tunnels: Gauge,
}

impl EdgeMetrics {
    pub(super) fn new() -> Self {
        let answers = |class| counter!("openclaw_tenancy_edge_answers_total", "class" => class);
        Self {
            answers: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(answers),
            unreachable: counter!("openclaw_tenancy_edge_unreachable_total"),
            turned_away: counter!("openclaw_tenancy_edge_connections_turned_away_total"),
            connections: gauge!("openclaw_tenancy_edge_connections"),
            tunnels: gauge!("openclaw_tenancy_edge_tunnels"),
        }
    }

    pub(super) fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.answers.get(class) {
            counter.increment(1);
        }
    }

    /// An instance that should serve did not accept a connection.
    pub(super) fn unreachable(&self) {
        self.unreachable.increment(1);
    }

    /// A connection beyond a limit.
    pub(super) fn turned_away(&self) {
        self.turned_away.increment(1);
    }

    pub(super) fn connection(&self) -> Open {
        Open::new(&self.connections)
    }

    pub(super) fn tunnel(&self) -> Open {
        Open::new(&self.tunnels)
    }
}

/// Counted as open until dropped.
#[derive(Debug)]
pub(super) struct Open(Gauge);

impl Open {
    fn new(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

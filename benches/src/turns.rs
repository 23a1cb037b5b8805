//! Figures of many turns as one.

use std::time::{Duration, Instant};

use anyhow::Context as _;

/// The value below which `percent` of `values` lie; no number for none.
#[must_use]
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let at = values.len() * percent / 100;
    values
        .get(at.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// The value in the middle.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

/// The median over neighbouring turns of ours by theirs.
#[must_use]
pub fn median_ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
    median(&ratios)
}

/// Nanoseconds of one `act`, called over and over for `lasts`.
pub fn nanos_each(lasts: Duration, mut act: impl FnMut()) -> f64 {
    /// So many between two looks at the clock that those cost nothing.
    const BATCH: u32 = 64;
    let began = Instant::now();
    let mut count = 0_u32;
    loop {
        for _ in 0..BATCH {
            act();
        }
        count += BATCH;
        let took = began.elapsed();
        if took >= lasts {
            return took.as_secs_f64() * 1e9 / f64::from(count);
        }
    }
}

/// A whole number from the environment.
///
/// # Errors
/// When it is none; names the variable and its value.
pub fn from_env(name: &str, default: u64) -> anyhow::Result<u64> {
    match std::env::var(name) {
        Ok(value) => value
            .parse()
            .with_context(|| format!("{name}={value} is not a number")),
        Err(_) => Ok(default),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_many_turns() {
        let values = [4.0, 1.0, 3.0, 2.0, 5.0];
        assert!((median(&values) - 3.0).abs() < f64::EPSILON);
        assert!((percentile(&values, 90) - 5.0).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
        // Each with its neighbour: 2, 2 and 4.
        let ratio = median_ratio(&[2.0, 4.0, 4.0], &[1.0, 2.0, 1.0]);
        assert!((ratio - 2.0).abs() < f64::EPSILON);
    }
}

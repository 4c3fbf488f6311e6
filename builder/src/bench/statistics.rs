//! Median, spread and ratio of many runs. Pure arithmetic without units. Drops no value.

use serde::Serialize;

/// Median and spread of several values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    /// The middle value; for an even count the mean of the two middle ones.
    pub(crate) median: f64,
    pub(crate) minimum: f64,
    pub(crate) maximum: f64,
    pub(crate) count: usize,
}

impl Summary {
    /// Summarizes values; `None` if there are none.
    #[must_use]
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        let (minimum, maximum) = (*sorted.first()?, *sorted.last()?);
        let (lower, upper) = (sorted.get((sorted.len() - 1) / 2)?, sorted.get(sorted.len() / 2)?);
        Some(Self { median: f64::midpoint(*lower, *upper), minimum, maximum, count: sorted.len() })
    }

    /// This median as a multiple of the other; `None` if the other is zero.
    #[must_use]
    pub(crate) fn ratio_to(&self, other: &Self) -> Option<f64> {
        (other.median > 0.0).then(|| self.median / other.median)
    }
}

/// The index of the middle value; for an even count the lower of the two, because it must be one of the values.
#[must_use]
pub(crate) fn median_index(values: &[f64]) -> Option<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    order.get(values.len().checked_sub(1)? / 2).copied()
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn medians_of_odd_and_even_numbers() {
        let summary = Summary::of(&[7.0, 5.0, 6.5]).unwrap();
        assert_eq!(summary, Summary { median: 6.5, minimum: 5.0, maximum: 7.0, count: 3 });
        assert_eq!(Summary::of(&[4.0, 1.0, 2.0, 3.0]).unwrap().median.to_string(), "2.5");
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(median_index(&[7.0, 5.0, 6.5]), Some(2));
        assert_eq!(median_index(&[4.0, 1.0, 2.0, 3.0]), Some(2));
        assert_eq!(median_index(&[]), None);
    }

    #[test]
    fn ratios_to_nothing_are_none() {
        let of = |values: &[f64]| Summary::of(values).unwrap();
        assert_eq!(of(&[3.0]).ratio_to(&of(&[6.0])), Some(0.5));
        assert_eq!(of(&[3.0]).ratio_to(&of(&[0.0])), None);
    }

    proptest! {
        #[test]
        fn a_median_lies_within_its_spread(values in prop::collection::vec(0.0..1e9_f64, 1..20)) {
            let summary = Summary::of(&values).unwrap();
            prop_assert!(summary.minimum <= summary.median && summary.median <= summary.maximum);
            let lower = values[median_index(&values).unwrap()];
            prop_assert!(lower <= summary.median);
            prop_assert_eq!(summary.count, values.len());
        }
    }
}

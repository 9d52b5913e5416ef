//! Several data sets on one axis of bins: what networks, draws and statistics see of them.

use std::ops::Range;

use super::{Dataset, ObservationError};

/// Data sets that are analysed together. Their bins lie one after another on one axis of D columns, in the order of the list; one data
/// set is a list of one.
#[derive(Debug, Clone)]
pub struct Observations {
    sets: Vec<Dataset>,
    columns: Vec<Range<usize>>,
}

impl Observations {
    /// Puts data sets on one axis.
    ///
    /// # Errors
    /// No data set, one without bins, or two of one name, by which parameters and results would be told apart.
    pub fn new(sets: Vec<Dataset>) -> Result<Self, ObservationError> {
        if sets.is_empty() {
            return Err(ObservationError::Selection("no data set; expected at least one".into()));
        }
        let mut columns = Vec::with_capacity(sets.len());
        let mut start = 0;
        for (k, set) in sets.iter().enumerate() {
            if let Some(other) = sets[..k].iter().position(|other| other.name == set.name) {
                return Err(ObservationError::Selection(format!(
                    "data sets {} and {} are both called '{}'; expected names of their own",
                    other + 1,
                    k + 1,
                    set.name
                )));
            }
            let bins = set.bins.len();
            if bins == 0 || set.counts.len() != bins || set.folded.bins() != bins {
                return Err(ObservationError::Selection(format!(
                    "{}: {bins} bins, {} counts and a response of {} bins; expected as many of each, and at least one",
                    set.name,
                    set.counts.len(),
                    set.folded.bins()
                )));
            }
            columns.push(start..start + bins);
            start += bins;
        }
        Ok(Self { sets, columns })
    }

    /// The data sets, in their order on the axis.
    pub fn sets(&self) -> &[Dataset] {
        &self.sets
    }

    /// The columns of every data set.
    pub fn columns(&self) -> &[Range<usize>] {
        &self.columns
    }

    /// How many data sets there are, one at least.
    #[allow(clippy::len_without_is_empty)] // there is always one
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Columns of the axis, D: the bins of all data sets.
    pub fn bins(&self) -> usize {
        self.columns.last().map_or(0, |columns| columns.end)
    }

    /// Counts of all data sets together.
    pub fn total(&self) -> u64 {
        self.sets.iter().map(Dataset::total).sum()
    }

    /// The D counts on the axis.
    pub fn counts(&self) -> Vec<u32> {
        self.sets.iter().flat_map(|set| set.counts.iter().copied()).collect()
    }

    /// The data sets with their columns.
    pub fn iter(&self) -> impl Iterator<Item = (&Dataset, Range<usize>)> {
        self.sets.iter().zip(self.columns.iter().cloned())
    }

    /// The data set that a column belongs to, and the bin in it; `None` beyond the axis.
    pub fn place(&self, column: usize) -> Option<(usize, usize)> {
        let set = self.columns.partition_point(|columns| columns.end <= column);
        self.columns.get(set).map(|columns| (set, column - columns.start))
    }

    /// The data set of a name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.sets.iter().position(|set| set.name == name)
    }

    /// Returns the data sets with other counts (a mock), D of them.
    ///
    /// # Errors
    /// Another number of counts than columns.
    pub fn with_counts(mut self, counts: &[u32]) -> Result<Self, ObservationError> {
        if counts.len() != self.bins() {
            return Err(ObservationError::Selection(format!("{} counts for {} bins", counts.len(), self.bins())));
        }
        for (set, columns) in self.sets.iter_mut().zip(&self.columns) {
            set.counts = counts[columns.clone()].to_vec();
        }
        Ok(self)
    }
}

impl TryFrom<Dataset> for Observations {
    type Error = ObservationError;

    fn try_from(set: Dataset) -> Result<Self, ObservationError> {
        Self::new(vec![set])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::demo_instrument;

    fn named(name: &str, first: u32) -> Dataset {
        let set = Dataset { name: name.into(), ..demo_instrument() };
        let counts = (0..set.bins.len() as u32).map(|bin| first + bin).collect();
        set.with_counts(counts).unwrap()
    }

    #[test]
    fn data_sets_lie_one_after_another() {
        let bins = demo_instrument().bins.len();
        let both = Observations::new(vec![named("a", 0), named("b", 1000)]).unwrap();
        assert_eq!((both.len(), both.bins()), (2, 2 * bins));
        assert_eq!(both.columns(), [0..bins, bins..2 * bins]);
        assert_eq!(both.counts()[bins - 1..bins + 1], [bins as u32 - 1, 1000]);
        assert_eq!(both.total(), both.sets().iter().map(Dataset::total).sum::<u64>());
        let places = [0, bins - 1, bins, 2 * bins - 1, 2 * bins].map(|column| both.place(column));
        assert_eq!(places, [Some((0, 0)), Some((0, bins - 1)), Some((1, 0)), Some((1, bins - 1)), None]);
        assert_eq!((both.find("b"), both.find("c")), (Some(1), None));
        for (set, columns) in both.iter() {
            assert_eq!(both.counts()[columns], set.counts);
        }
        let counts: Vec<u32> = (0..2 * bins as u32).collect();
        let mock = both.clone().with_counts(&counts).unwrap();
        assert_eq!(mock.counts(), counts);
        assert!(both.with_counts(&counts[1..]).is_err());
        // One data set is a list of one.
        let one = Observations::try_from(named("a", 3)).unwrap();
        assert_eq!((one.len(), one.columns()[0].clone()), (1, 0..bins));
        assert_eq!(one.counts(), named("a", 3).counts);
    }

    #[test]
    fn names_are_the_data_sets_own() {
        let error = Observations::new(vec![named("a", 0), named("b", 1), named("a", 2)]).unwrap_err().to_string();
        assert!(error.contains("data sets 1 and 3") && error.contains("'a'"), "{error}");
        assert!(Observations::new(Vec::new()).is_err());
        let empty = Dataset { bins: Vec::new(), ..named("c", 0) };
        assert!(Observations::new(vec![empty]).unwrap_err().to_string().contains("c: 0 bins"));
    }
}

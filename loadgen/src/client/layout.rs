//! The partitions of all topics in one row: those of the first topic, then those of the second, and so on. Pure.
//!
//! Requests and answers name a topic and an index in it. Everywhere else a partition is its place in this row, which
//! with one topic is the index.

use std::collections::BTreeMap;
use std::ops::Range;

/// Which topics there are, and where their partitions lie in the row.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    topics: Vec<(String, Range<usize>)>,
    numbers: BTreeMap<String, usize>,
    /// By partition.
    places: Vec<Place>,
}

/// What a request says of a partition, with the number of its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub topic: usize,
    pub index: i32,
}

impl Layout {
    /// Topics in their order, and how many partitions each has.
    pub fn new<N: Into<String>>(topics: impl IntoIterator<Item = (N, usize)>) -> Layout {
        let mut layout = Layout::default();
        for (name, partitions) in topics {
            layout.push(name.into(), partitions);
        }
        layout
    }

    fn push(&mut self, name: String, partitions: usize) {
        let (topic, from) = (self.topics.len(), self.places.len());
        self.numbers.insert(name.clone(), topic);
        self.topics.push((name, from..from + partitions));
        self.places.extend((0..partitions).map(|index| Place { topic, index: index as i32 }));
    }

    /// Names, and the partitions of each.
    pub fn topics(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.topics.iter().map(|(name, partitions)| (name.as_str(), partitions.clone()))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.topics().map(|(name, _)| name)
    }

    /// How many topics there are.
    pub fn count(&self) -> usize {
        self.topics.len()
    }

    /// How many partitions all topics have.
    pub fn partitions(&self) -> usize {
        self.places.len()
    }

    pub fn place(&self, partition: i32) -> Place {
        self.places[partition as usize]
    }

    /// The name of its topic.
    pub fn name(&self, partition: i32) -> &str {
        &self.topics[self.place(partition).topic].0
    }

    pub fn index(&self, partition: i32) -> i32 {
        self.place(partition).index
    }

    /// The partition that an answer names; `None` when it has no part in the run.
    pub fn find(&self, name: &str, index: i32) -> Option<i32> {
        let (_, partitions) = &self.topics[*self.numbers.get(name)?];
        let partition = partitions.start + usize::try_from(index).ok()?;
        partitions.contains(&partition).then_some(partition as i32)
    }

    /// What an error says of a partition.
    pub fn title(&self, partition: i32) -> String {
        let index = self.index(partition);
        match self.count() {
            1 => format!("partition {index}"),
            _ => format!("partition {index} of {}", self.name(partition)),
        }
    }

    /// These in their order, cut wherever the next one is of another topic: as Kafka's `FetchRequest.Builder` does it.
    pub fn stretches<'a, T>(
        &'a self,
        items: &'a [T],
        of: impl Fn(&T) -> i32 + Copy + 'a,
    ) -> impl Iterator<Item = (&'a str, &'a [T])> {
        let topic = move |item: &T| self.place(of(item)).topic;
        let stretches = items.chunk_by(move |one, next| topic(one) == topic(next));
        stretches.map(move |stretch| (self.name(of(&stretch[0])), stretch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout::new([("a", 2), ("b", 1), ("c", 3)])
    }

    #[test]
    fn every_partition_is_found_where_it_lies() {
        let layout = layout();
        assert_eq!((layout.count(), layout.partitions()), (3, 6));
        for partition in 0..6 {
            let (name, index) = (layout.name(partition), layout.index(partition));
            assert_eq!(layout.find(name, index), Some(partition));
        }
        assert_eq!(layout.place(4), Place { topic: 2, index: 1 });
    }

    #[test]
    fn what_has_no_part_in_the_run_is_not_found() {
        for (name, index) in [("a", 2), ("b", 1), ("b", -1), ("d", 0), ("", 0)] {
            assert_eq!(layout().find(name, index), None, "{name} {index}");
        }
    }

    #[test]
    fn stretches_keep_the_order_and_hold_one_topic_each() {
        let layout = layout();
        let partitions = [1, 2, 3, 5, 0];
        let found: Vec<_> = layout.stretches(&partitions, |partition| *partition).collect();
        assert_eq!(found, [("a", &[1][..]), ("b", &[2]), ("c", &[3, 5]), ("a", &[0])]);
    }

    #[test]
    fn one_topic_needs_no_name() {
        assert_eq!(Layout::new([("a", 2)]).title(1), "partition 1");
        assert_eq!(layout().title(4), "partition 1 of c");
    }
}

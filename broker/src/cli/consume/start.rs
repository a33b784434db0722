//! Where reading begins.

use kring_wire::Str;

use crate::cli::client::offsets::{Edge, Offsets};
use crate::cli::client::{Client, ClientError, Result};

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Oldest,
    /// Only what is written from now on.
    End,
    /// An offset; negative counts back from the end.
    Offset(i64),
}

impl Start {
    pub(super) fn new(from_beginning: bool, offset: Option<i64>) -> Self {
        match offset {
            Some(offset) => Self::Offset(offset),
            None if from_beginning => Self::Oldest,
            None => Self::End,
        }
    }
}

pub(super) async fn positions(
    client: &mut Client,
    topic: &Str,
    partitions: &[i32],
    start: Start,
) -> Result<Offsets> {
    match start {
        Start::Oldest => client.edges(topic, partitions, Edge::Start).await,
        Start::End => client.edges(topic, partitions, Edge::End).await,
        Start::Offset(offset) => {
            let oldest = client.edges(topic, partitions, Edge::Start).await?;
            let ends = client.edges(topic, partitions, Edge::End).await?;
            let place = |(index, end): (&i32, &i64)| {
                let oldest = oldest.get(index).copied().unwrap_or(0);
                Ok((*index, placed(offset, oldest, *end).ok_or_else(|| beyond(topic, *index, offset, *end))?))
            };
            ends.iter().map(place).collect()
        }
    }
}

/// The offset meant in a partition with these edges: never before the oldest record, nowhere beyond the end.
fn placed(offset: i64, oldest: i64, end: i64) -> Option<i64> {
    let meant = if offset < 0 { end.saturating_add(offset) } else { offset };
    (meant <= end).then_some(meant.max(oldest))
}

fn beyond(topic: &Str, index: i32, offset: i64, end: i64) -> ClientError {
    ClientError::Plain(format!("offset {offset} is beyond the end of {topic}-{index}, which is {end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_offset_counts_back_from_the_end() {
        assert_eq!(placed(-3, 0, 10), Some(7));
        assert_eq!(placed(-30, 4, 10), Some(4));
        assert_eq!(placed(i64::MIN, 4, 10), Some(4));
    }

    #[test]
    fn an_offset_is_taken_within_the_partition() {
        assert_eq!(placed(0, 4, 10), Some(4));
        assert_eq!(placed(10, 4, 10), Some(10));
        assert_eq!(placed(11, 4, 10), None);
    }

    #[test]
    fn the_end_is_the_start_unless_told_otherwise() {
        assert_eq!(Start::new(false, None), Start::End);
        assert_eq!(Start::new(true, None), Start::Oldest);
        assert_eq!(Start::new(false, Some(-1)), Start::Offset(-1));
    }
}

//! Lines for standard output, written in larger pieces. Nobody who goes away is an error, and nothing more is done then.

use super::Result;
use crate::cli::shard::{self, Written};

const FLUSH_BYTES: usize = 64 << 10;

#[derive(Default)]
pub(super) struct Out {
    text: Vec<u8>,
    is_over: bool,
}

impl Out {
    pub(super) async fn line(&mut self, line: &str) -> Result<()> {
        self.text.extend_from_slice(line.as_bytes());
        self.text.push(b'\n');
        if self.text.len() >= FLUSH_BYTES { self.flush().await } else { Ok(()) }
    }

    pub(super) async fn flush(&mut self) -> Result<()> {
        let text = std::mem::take(&mut self.text);
        if !self.is_over && !text.is_empty() {
            self.is_over = shard::write(text).await? != Written::All;
        }
        Ok(())
    }

    /// Nobody reads any more, or the user has stopped it.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }
}

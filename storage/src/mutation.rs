//! Plausible bugs that the tests switch on one at a time, to show that they would be noticed.
//! Outside of tests every answer is a constant `false`, and the branch is gone.

/// A bug to imitate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Records count as durable as soon as they are written.
    AcknowledgeBeforeFlush,
    /// A write that is to be durable when it ends is an ordinary one.
    TakeWriteForFlushed,
    /// A write that flushes itself is taken for a flush of all before it.
    FlushOnlyTheNewest,
    /// A new segment's name is left to chance.
    SkipDirectoryFlush,
    /// A new log's directory is left to chance.
    LeaveNewDirectoryToChance,
    /// The next write forgets the partial block that the last one ended in.
    ForgetTailBlock,
    /// The next write takes one byte too few over from the partial block.
    TailBlockOffByOne,
    /// A sealed segment's newest time is not in its time index.
    DropLastTimeEntry,
    /// The next segment begins before this one is durable.
    SkipFlushAtRoll,
    /// An error of fdatasync is overlooked.
    IgnoreFailedFlush,
    /// Recovery believes a batch whose checksum does not match.
    SkipChecksum,
    /// Nobody compares where a sealed segment ends with what its indexes name.
    SkipEndCheck,
    /// Nobody looks for traces of segments that are gone.
    SkipPresenceCheck,
    /// A sealed segment is cleaned though the next one is not on disk.
    CleanUnfollowed,
    /// A tombstone goes with the first cleaning that meets it.
    DropLiveTombstone,
    /// The last batch of a producer goes with its last record.
    ForgetLastSequence,
    /// A crash in the middle of an exchange leaves the replaced segments beside the new one.
    KeepReplaced,
    /// Old segments' files go before the log's start has passed them.
    DeleteBeforeStart,
    /// A file that is to be removed is cut before a crash can no longer give it its old name back.
    CutBeforeItsNameIsDurable,
    /// A file that is to be removed is cut while somebody reads it.
    CutWhatIsRead,
    /// Readers are told of a new start that a crash would forget.
    ForgetStart,
    /// A write that the disk had no room for counts as written.
    TakeRefusedWriteForDone,
    /// Recovery believes index entries of batches that it does not know to be durable.
    TrustIndexBeyondPoint,
    /// Recovery believes a producer snapshot inside the newest segment, durable or not.
    TrustNewerSnapshot,
    /// Recovery leaves what lies beyond the last good batch in the file.
    KeepStaleBatches,
    /// A truncated log's checkpoint still promises what was cut off.
    TruncateBelowRecoveryPoint,
    /// A truncation forgets to shorten the leader epochs.
    TruncationLeavesEpochs,
    /// Readers still get from memory what a truncation has cut off.
    TruncationKeepsTail,
    /// A batch counts as kept that the journal does not have.
    KeepNothing,
    /// A group of batches counts as durable before it is written.
    CommitUnwritten,
    /// What is not flushed in its segment is not needed in the journal any more.
    FreeUnflushed,
    /// A recovery point promises what the journal alone has.
    PromiseByJournal,
    /// Readers see what is on its way to the journal.
    ShowEnlisted,
    /// Batches of a log are in one journal behind others that are in the other one alone.
    MixJournals,
    /// What a truncation has cut off is still in the journal for the next start.
    TruncationLeavesJournal,
    /// A client can know the numbers of a journal's blocks.
    NumberFromZero,
    /// What the checkpoints say of a deleted log is still there when another of its name begins.
    LeaveTraces,
    /// Old segments go though the one that follows them is not on disk.
    DeleteUnfollowed,
    /// Recovery begins at the recovery point, even where the producers are known only from before it.
    StartAfterProducers,
    /// A transaction counts as ended before readers can see its marker.
    ForgetUnseenMarkers,
    /// Recovery takes the transactions that were aborted for granted as the index names them, and learns no others.
    ForgetAborted,
    /// Aborted transactions are looked for in the segment that is read, and not in that of their marker.
    AbortedOfOneSegment,
}

#[cfg(test)]
thread_local! {
    static SWITCHED_ON: std::cell::Cell<Option<Mutation>> = const { std::cell::Cell::new(None) };
}

#[cfg(test)]
pub(crate) fn switch(mutation: Option<Mutation>) {
    SWITCHED_ON.set(mutation);
}

#[cfg(test)]
pub(crate) fn on(mutation: Mutation) -> bool {
    SWITCHED_ON.get() == Some(mutation)
}

#[cfg(not(test))]
#[inline(always)]
pub(crate) fn on(_: Mutation) -> bool {
    false
}

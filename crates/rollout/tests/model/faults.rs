//! One rule broken at a time, to see that the properties notice.

/// A rule that does not hold. Those about `next` alter what goes into the real one or what comes
/// out of it; those about its surroundings alter the model's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The engine takes over whatever comes.
    EngineForgetsFence,
    /// A job that is named again is started again.
    JobStartedAgain,
    /// An append replaces the entry that is there.
    JournalOverwrites,
    /// A beat replaces the beat that is there.
    LeaseOverwrites,
    /// A take-over reigns in the epoch that it found.
    TakeOverKeepsEpoch,
    /// A take-over applies the last entry without making the journal its own.
    TakeOverWritesNothing,
    /// A take-over looks, and applies nothing.
    TakeOverAppliesNothing,
    /// Whoever finds an entry in its place gives up, whoever wrote it.
    FoundEntryEndsIt,
    /// A state is applied before it is in the journal.
    AppliedBeforeJournal,
    /// The last state is in the journal and not applied.
    EndNotApplied,
    /// A report counts although it does not know the state that was applied.
    StaleReportBelieved,
    /// Instances count as healthy as soon as they are wanted.
    StartNotAwaited,
    /// Traffic counts as moved as soon as it is wanted.
    ShiftNotAwaited,
    /// A stop counts as done at once.
    StopNotAwaited,
    /// A hook counts as done as soon as it is wanted.
    HookNotAwaited,
    /// A hook whose outcome is unknown is started again without asking.
    HookNotAsked,
    /// Going back jumps to its end.
    UndoSkipped,
    /// Going forward jumps to its end.
    StepsSkipped,
    /// The way back keeps what the way forth did.
    UndoForgets,
}

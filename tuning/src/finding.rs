//! What a check says of one point. Values only.

/// What a check thinks of a point, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The broker does not start like this.
    Stops,
    /// What was acknowledged could be lost.
    Unsafe,
    /// It runs, but slower or with less room than it could.
    Tune,
    /// The host does not tell.
    Unknown,
    Good,
    /// Advice that is often given, and that Kring has no use for.
    Irrelevant,
}

impl Verdict {
    pub const ALL: [Verdict; 6] = [
        Verdict::Stops,
        Verdict::Unsafe,
        Verdict::Tune,
        Verdict::Unknown,
        Verdict::Good,
        Verdict::Irrelevant,
    ];

    /// One word, for terminals and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Stops => "stops",
            Verdict::Unsafe => "unsafe",
            Verdict::Tune => "tune",
            Verdict::Unknown => "unknown",
            Verdict::Good => "ok",
            Verdict::Irrelevant => "no matter",
        }
    }

    /// Whether something is to be done about it.
    pub fn is_bad(self) -> bool {
        self <= Verdict::Tune
    }
}

/// A file of `/proc` or `/sys`, and the text that it is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub path: String,
    pub found: String,
    pub wanted: String,
}

/// Who can change what only others can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// It takes another kernel or another boot.
    Boot,
    /// The host of this container or of this virtual machine.
    Host,
    /// The unit, shell or container that starts the broker.
    Service,
    /// A choice that no command should make.
    Operator,
}

impl Who {
    pub fn word(self) -> &'static str {
        match self {
            Who::Boot => "boot",
            Who::Host => "host",
            Who::Service => "service",
            Who::Operator => "operator",
        }
    }
}

/// How to come from what was found to what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    None,
    /// `kring tune apply` writes these; they hold until the next boot.
    Settings(Vec<Setting>),
    By(Who, String),
}

/// One point of the report. `wanted`, `why` and `cost` are sentences without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub group: &'static str,
    /// Unique, and the name by which `apply` takes it.
    pub point: &'static str,
    pub verdict: Verdict,
    pub found: String,
    pub wanted: String,
    pub why: &'static str,
    /// What it costs to have it as wanted.
    pub cost: &'static str,
    pub remedy: Remedy,
}

impl Finding {
    /// A point that is well, or that nothing is known about.
    pub(crate) fn new(point: &'static str, verdict: Verdict, found: impl Into<String>) -> Finding {
        Finding {
            group: "",
            point,
            verdict,
            found: found.into(),
            wanted: String::new(),
            why: "",
            cost: "",
            remedy: Remedy::None,
        }
    }

    pub(crate) fn unknown(point: &'static str) -> Finding {
        Finding::new(point, Verdict::Unknown, "the host does not tell")
    }

    pub(crate) fn wanted(mut self, wanted: impl Into<String>) -> Finding {
        self.wanted = wanted.into();
        self
    }

    pub(crate) fn why(mut self, why: &'static str) -> Finding {
        self.why = why;
        self
    }

    pub(crate) fn cost(mut self, cost: &'static str) -> Finding {
        self.cost = cost;
        self
    }

    /// Only a bad point has a remedy.
    pub(crate) fn settings(mut self, settings: Vec<Setting>) -> Finding {
        if self.verdict.is_bad() && !settings.is_empty() {
            self.remedy = Remedy::Settings(settings);
        }
        self
    }

    pub(crate) fn by(mut self, who: Who, what: impl Into<String>) -> Finding {
        if self.verdict.is_bad() {
            self.remedy = Remedy::By(who, what.into());
        }
        self
    }
}

//! What is known of one property: its name, type, default, rule, meaning, and how it may change.
//! Never holds a configured value. Plain constants: shared by every core.

/// The type of a property, as Kafka's DescribeConfigs names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

impl Kind {
    /// The type's code in a DescribeConfigs response.
    #[must_use]
    pub const fn code(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }

    /// The name that Kafka prints, also in "Not a number of type INT".
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }

    /// A password's value never leaves the broker.
    #[must_use]
    pub const fn is_sensitive(self) -> bool {
        matches!(self, Self::Password)
    }
}

/// What a property has when nobody set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The value as it would stand in a file.
    Value(&'static str),
    /// No value, and none is needed.
    Null,
}

impl Fallback {
    #[must_use]
    pub const fn text(self) -> Option<&'static str> {
        match self {
            Self::Value(text) => Some(text),
            Self::Null => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// Which values of the right type are accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    Any,
    AtLeast(i64),
    /// Both ends included.
    Between(i64, i64),
    /// From 0 to this, both included.
    UpTo(f64),
    /// 1 to 9, or -1 for the codec's own choice.
    GzipLevel,
    OneOf(&'static [&'static str]),
    OneOfAnyCase(&'static [&'static str]),
    NonEmpty,
    /// A list without empty elements; `of` empty means any words.
    List {
        of: &'static [&'static str],
        may_be_empty: bool,
    },
    /// `*`, or `partition:broker` pairs.
    ThrottledReplicas,
    /// `id@host:port` entries.
    QuorumVoters,
    /// `host:port` entries.
    HostPorts,
    /// `earliest`, `latest`, or `by_duration:` with an ISO-8601 duration.
    ShareOffsetReset,
}

/// When a change of the property takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// At the next start.
    ReadOnly,
    /// At once, for one named broker only.
    PerBroker,
    /// At once, for one broker or as the default of all.
    ClusterWide,
}

/// What Kring does with the property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It steers the broker.
    Used,
    /// Kafka has it, Kring works without it: accepted, checked, shown, and named once in the log.
    Known,
    /// Kring's own, unknown to Kafka.
    Own,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    pub name: &'static str,
    pub kind: Kind,
    pub fallback: Fallback,
    pub rule: Rule,
    pub importance: Importance,
    pub update: Update,
    pub need: Need,
    /// Kafka hides it from DescribeConfigs unless somebody set it.
    pub internal: bool,
    pub meaning: &'static str,
}

impl Property {
    #[must_use]
    pub const fn is_sensitive(&self) -> bool {
        self.kind.is_sensitive()
    }

    #[must_use]
    pub const fn is_dynamic(&self) -> bool {
        !matches!(self.update, Update::ReadOnly)
    }

    /// A topic's property is named with its own words here; see `defs::topics`.
    #[must_use]
    pub const fn default_text(&self) -> Option<&'static str> {
        self.fallback.text()
    }
}

/// Writes a table of [`Property`] rows, one property in two lines:
/// `"name": Kind = default, rule; importance update need` then the meaning.
/// `hidden` before the name marks what Kafka calls an internal property.
macro_rules! properties {
    (@fallback null) => { $crate::config::property::Fallback::Null };
    (@fallback $text:literal) => { $crate::config::property::Fallback::Value($text) };
    (@internal) => { false };
    (@internal hidden) => { true };
    ($(#[$attr:meta])* $vis:vis $table:ident =
        $($($hidden:ident)? $name:literal: $kind:ident = $fallback:tt, $rule:expr;
            $importance:ident $update:ident $need:ident $meaning:literal;)*
    ) => {
        $(#[$attr])*
        $vis const $table: &[$crate::config::property::Property] = {
            #[allow(unused_imports)]
            use $crate::config::property::{Importance, Kind, Need, Rule::*, Update};
            &[$($crate::config::property::Property {
                name: $name,
                kind: Kind::$kind,
                fallback: properties!(@fallback $fallback),
                rule: $rule,
                importance: Importance::$importance,
                update: Update::$update,
                need: Need::$need,
                internal: properties!(@internal $($hidden)?),
                meaning: $meaning,
            },)*]
        };
    };
}
pub(crate) use properties;

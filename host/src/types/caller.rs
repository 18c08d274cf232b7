//! Who asks, and what they may.

use std::{fmt, str::FromStr, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What somebody may do; each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks at everything and changes nothing.
    Viewer,
    /// Runs things, and keeps conversations.
    Operator,
    /// Directs plugins, tokens and what is kept.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let role = Self::ALL.into_iter().find(|role| role.as_str() == text);
        role.ok_or_else(|| "a role: viewer, operator or admin".to_owned())
    }
}

/// Somebody who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Tells them from all others, for limits: a token's id, or whom a JWT speaks of.
    pub id: Arc<str>,
    /// What people call them.
    pub name: Arc<str>,
    /// What they may do.
    pub role: Role,
    /// The one owner whose threads and runs they see and touch; everybody's if absent.
    pub owner: Option<Arc<str>>,
}

impl Caller {
    /// Returns who asks where nobody is asked who they are.
    #[must_use]
    pub fn anyone() -> Self {
        Self { id: "anyone".into(), name: "anyone".into(), role: Role::Admin, owner: None }
    }

    /// Whether they may see and touch what belongs to this owner; what belongs to nobody is not theirs
    /// if they are bound to one.
    #[must_use]
    pub fn may_touch(&self, owner: Option<&str>) -> bool {
        self.owner.as_deref().is_none_or(|own| owner == Some(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_contain_those_before_them() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
        assert_eq!("operator".parse(), Ok(Role::Operator));
        assert!("root".parse::<Role>().unwrap_err().contains("viewer, operator or admin"));
    }

    #[test]
    fn who_is_bound_touches_only_what_is_theirs() {
        let bound = Caller { owner: Some("ann".into()), ..Caller::anyone() };
        assert!(bound.may_touch(Some("ann")) && !bound.may_touch(Some("bob")) && !bound.may_touch(None));
        assert!(Caller::anyone().may_touch(Some("bob")) && Caller::anyone().may_touch(None));
    }
}

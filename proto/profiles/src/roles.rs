//! PSD2 roles of a payment service provider.
//!
//! In: object identifiers read from a certificate, role names written in configuration. Out: [`Role`] and
//! [`RoleSet`], which compare by object identifier only. Never authorises by the name printed in a certificate:
//! names and identifiers disagree in the wild. Unknown identifiers stay what they are, because national bodies may
//! register more (GEN-5.2.2-4). Serves ETSI TS 119 495 clause 5.1 and 5.2.2.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use der::asn1::ObjectIdentifier;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A role: an object identifier, and the name the standard gives it when it is a known one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(ObjectIdentifier);

/// The role table of TS 119 495 (V1.8.1), as data: a new edition adds rows, nothing else changes.
const TABLE: &[(Role, &str)] = &[
    (Role::UNSPECIFIED, "Unspecified"),
    (Role::PSP_AS, "PSP_AS"),
    (Role::PSP_PI, "PSP_PI"),
    (Role::PSP_AI, "PSP_AI"),
    (Role::PSP_IC, "PSP_IC"),
    (Role::PSP_CB, "PSP_CB"),
    (Role::PSP_PA, "PSP_PA"),
    (Role::VOP_RS, "VOP_RS"),
    (Role::VOP_VS, "VOP_VS"),
];

impl Role {
    /// Role not specified; permits nothing.
    pub const UNSPECIFIED: Self = Self(ObjectIdentifier::new_unwrap("0.4.0.19495.1.0"));
    /// Account servicing.
    pub const PSP_AS: Self = Self(ObjectIdentifier::new_unwrap("0.4.0.19495.1.1"));
    /// Payment initiation.
    pub const PSP_PI: Self = Self(ObjectIdentifier::new_unwrap("0.4.0.19495.1.2"));
    /// Account information.
    pub const PSP_AI: Self = Self(ObjectIdentifier::new_unwrap("0.4.0.19495.1.3"));
    /// Issuing of card-based payment instruments.
    pub const PSP_IC: Self = Self(ObjectIdentifier::new_unwrap("0.4.0.19495.1.4"));
    /// Role `PSP_CB`, added by V1.8.1.
    pub const PSP_CB: Self = Self(ObjectIdentifier::new_unwrap("0.4.0.19495.1.5"));
    /// Role `PSP_PA`, added by V1.8.1.
    pub const PSP_PA: Self = Self(ObjectIdentifier::new_unwrap("0.4.0.19495.1.6"));
    /// Role `VOP_RS` of the verification-of-payee scheme, added by V1.8.1.
    pub const VOP_RS: Self = Self(ObjectIdentifier::new_unwrap("0.4.0.19495.1.51"));
    /// Role `VOP_VS` of the verification-of-payee scheme, added by V1.8.1.
    pub const VOP_VS: Self = Self(ObjectIdentifier::new_unwrap("0.4.0.19495.1.52"));

    /// The roles this edition of the table knows, in the order of their identifiers.
    pub fn known() -> impl Iterator<Item = Role> {
        TABLE.iter().map(|(role, _)| *role)
    }

    /// The standard's name, or `None` for an identifier outside the table.
    pub fn name(&self) -> Option<&'static str> {
        TABLE
            .iter()
            .find(|(role, _)| role == self)
            .map(|(_, name)| *name)
    }

    /// The role the standard gives this exact name to. For configuration and for finding contradictions, never for
    /// reading what a certificate permits.
    pub fn named(name: &str) -> Option<Role> {
        TABLE
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(role, _)| *role)
    }

    /// The identifier in dotted form.
    pub fn oid(&self) -> String {
        self.0.to_string()
    }

    pub(crate) fn from_identifier(oid: ObjectIdentifier) -> Self {
        Self(oid)
    }

    pub(crate) fn identifier(&self) -> ObjectIdentifier {
        self.0
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => fmt::Display::fmt(&self.0, f),
        }
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Role({self})")
    }
}

/// A text that is neither a role name of the table nor a dotted object identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a PSD2 role name nor an object identifier")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    /// Reads `PSP_PI` or `0.4.0.19495.1.2`; exact spelling only.
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Role::named(text)
            .or_else(|| ObjectIdentifier::new(text).ok().map(Role))
            .ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The roles of one certificate. A set: order is free and doubled roles occur in certificates that linters call valid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleSet(BTreeSet<Role>);

impl RoleSet {
    /// Whether the set holds this role, by object identifier. [`Role::UNSPECIFIED`] stands for no other role.
    pub fn contains(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// The roles in the order of their identifiers.
    pub fn iter(&self) -> impl Iterator<Item = Role> {
        self.0.iter().copied()
    }

    /// How many different roles.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a role; `false` when it was there already.
    pub fn insert(&mut self, role: Role) -> bool {
        self.0.insert(role)
    }
}

impl FromIterator<Role> for RoleSet {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().collect())
    }
}

impl fmt::Display for RoleSet {
    /// `PSP_PI,PSP_AI`: the names in identifier order, comma between, empty text for no role.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, role) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{role}")?;
        }
        Ok(())
    }
}

impl FromStr for RoleSet {
    type Err = UnknownRole;

    /// Reads what `Display` writes; blanks around the commas are tolerated, the empty text is the empty set.
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        text.split(',').map(|role| role.trim().parse()).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn every_row_of_the_table_reads_back_by_name_and_by_identifier() {
        for (role, name) in TABLE {
            assert_eq!(name.parse::<Role>().unwrap(), *role);
            assert_eq!(role.oid().parse::<Role>().unwrap(), *role);
            assert_eq!(role.to_string(), *name);
        }
        assert_eq!(TABLE.len(), RoleSet::from_iter(Role::known()).len());
    }

    #[test]
    fn tolerates_a_role_registered_by_a_national_body() {
        let national: Role = "1.2.616.1.113527.2".parse().unwrap();
        assert_eq!(national.name(), None);
        assert_eq!(national.to_string(), "1.2.616.1.113527.2");
        assert!(!RoleSet::from_iter([national]).contains(Role::PSP_PI));
    }

    #[test]
    fn refuses_a_role_that_is_neither_name_nor_identifier() {
        assert!("psp_pi".parse::<Role>().is_err());
        assert!("PSP_PI,".parse::<RoleSet>().is_err());
    }

    #[test]
    fn a_doubled_role_counts_once_and_order_does_not_matter() {
        let doubled: RoleSet = "PSP_AI, PSP_PI,PSP_AI".parse().unwrap();
        assert_eq!(doubled.len(), 2);
        assert_eq!(doubled.to_string(), "PSP_PI,PSP_AI");
    }

    #[test]
    fn unspecified_permits_nothing_else() {
        let set = RoleSet::from_iter([Role::UNSPECIFIED]);
        assert!(
            Role::known()
                .filter(|role| set.contains(*role))
                .eq([Role::UNSPECIFIED])
        );
    }
}

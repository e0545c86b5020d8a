//! A certificate with the certificates above it.
//!
//! Comes in: a leaf and its issuers, as the credential has them. Goes out: the part of them that a bank wants to see.
//! Never builds or judges a path: that was done when the certificate was installed.

use super::Certificate;

/// A certificate and, as far as they are known, its issuer, the issuer's issuer and so on.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a> {
    leaf: &'a Certificate,
    issuers: &'a [Certificate],
}

impl<'a> Chain<'a> {
    /// A leaf and its issuers, nearest first.
    #[must_use]
    pub fn new(leaf: &'a Certificate, issuers: &'a [Certificate]) -> Self {
        Self { leaf, issuers }
    }

    /// The certificate the bank sees as ours.
    #[must_use]
    pub fn leaf(&self) -> &'a Certificate {
        self.leaf
    }

    /// Every certificate, leaf first.
    pub fn all(&self) -> impl Iterator<Item = &'a Certificate> {
        std::iter::once(self.leaf).chain(self.issuers)
    }

    /// Whether somebody above a leaf that did not issue itself is known.
    #[must_use]
    pub fn has_issuer(&self) -> bool {
        !self.issuers.is_empty() || self.leaf.is_self_issued()
    }
}

impl<'a> From<&'a Certificate> for Chain<'a> {
    fn from(leaf: &'a Certificate) -> Self {
        Self::new(leaf, &[])
    }
}

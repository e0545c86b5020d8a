//! What officers ask QTSPs for.
//!
//! In: a version and the name of a way. Out: an enrolment in the store, to be carried on. Never: a step; [`super::carry`]
//! takes them. A revocation is asked for of versions that two officers revoked here before.

use serde_json::json;

use crate::audit::Event;
use crate::credential::CredentialError;
use crate::credential::install;
use crate::credential::state::Happening;
use crate::domain::{
    CallerName, Enrolment, EnrolmentState, Name, RevocationReason, Version, VersionState, Wish,
};
use crate::registry::{ChangeError, Registry};

impl Registry {
    /// Has the request of a version carried to a QTSP.
    pub async fn submit(
        &self,
        who: &CallerName,
        name: &str,
        enroller: &str,
    ) -> Result<Enrolment, CredentialError> {
        let _turn = self.turn().await?;
        let version = self.numbered(name)?;
        install::next(&version, Happening::Installed)?;
        self.begin_enrolment(who, &version, enroller, Wish::Certificate)
            .await
    }

    /// Has a QTSP asked to revoke the certificate of a version that is revoked here.
    pub async fn request_revocation(
        &self,
        who: &CallerName,
        name: &str,
        enroller: &str,
        reason: RevocationReason,
    ) -> Result<Enrolment, CredentialError> {
        let _turn = self.turn().await?;
        let version = self.numbered(name)?;
        if version.state != VersionState::Revoked || version.issued.is_none() {
            return Err(CredentialError::NotRevoked(version.id.clone()));
        }
        let wish = Wish::Revocation(reason);
        self.begin_enrolment(who, &version, enroller, wish).await
    }

    async fn begin_enrolment(
        &self,
        who: &CallerName,
        version: &Version,
        enroller: &str,
        wish: Wish,
    ) -> Result<Enrolment, CredentialError> {
        let known = self.enrollers.get_key_value(enroller);
        let Some((enroller, way)) = known else {
            let names = self.enrollers.keys().map(Name::as_str).collect::<Vec<_>>();
            let asked = enroller.chars().take(80).collect();
            return Err(CredentialError::EnrollerUnknown {
                asked,
                known: names.join(", "),
            });
        };
        if let Some(other) = self.open_enrolment(version).await? {
            return Err(CredentialError::EnrolmentOpen {
                version: version.id.clone(),
                enroller: other.enroller,
            });
        }
        let now = self.clock.now();
        let enrolment = Enrolment {
            version: version.id.clone(),
            wish,
            enroller: enroller.clone(),
            author: who.clone(),
            state: EnrolmentState::Pending,
            ticket: None,
            attempts: 0,
            next: now,
            detail: "not sent yet".to_owned(),
            created: now,
            due: now.saturating_add(way.patience()).unwrap_or(now),
        };
        let data = json!({
            "version": version.id.to_string(),
            "enroller": enroller.as_str(),
            "wish": wish.word(),
        });
        let write = self.world.store().put_enrolment(&enrolment);
        self.change(who, Event::CredentialSubmit, data, write)
            .await?;
        Ok(enrolment)
    }

    /// Gives an enrolment up that is open or failed: another way can be taken, and nobody is told of it any more. The QTSP
    /// is not told.
    pub async fn withdraw(
        &self,
        who: &CallerName,
        name: &str,
    ) -> Result<Enrolment, CredentialError> {
        let _turn = self.turn().await?;
        let version = self.numbered(name)?;
        let all = self.world.store().unsettled_enrolments().await;
        let mut all = all.map_err(ChangeError::from)?.into_iter();
        let found = all.find(|e| e.version == version.id && e.state != EnrolmentState::Withdrawn);
        let Some(mut enrolment) = found else {
            return Err(CredentialError::EnrolmentClosed(version.id.clone()));
        };
        enrolment.state = EnrolmentState::Withdrawn;
        enrolment.detail = "the QTSP was not told".to_owned();
        let data = json!({
            "version": version.id.to_string(),
            "enroller": enrolment.enroller.as_str(),
        });
        let write = self.world.store().put_enrolment(&enrolment);
        self.change(who, Event::EnrolmentWithdraw, data, write)
            .await?;
        Ok(enrolment)
    }

    async fn open_enrolment(&self, version: &Version) -> Result<Option<Enrolment>, ChangeError> {
        let all = self.world.store().unsettled_enrolments().await?;
        let mut all = all.into_iter();
        Ok(all.find(|e| e.version == version.id && e.state == EnrolmentState::Pending))
    }

    /// All enrolments, newest first.
    pub async fn enrolments(&self) -> Result<Vec<Enrolment>, ChangeError> {
        Ok(self.world.store().enrolments().await?)
    }
}

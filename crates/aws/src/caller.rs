//! Who we are to AWS.

use crate::arn::Arn;
use crate::connection::Aws;
use crate::endpoint::Service;
use crate::error::Result;
use crate::query::Form;
use serde::Deserialize;

/// Whose credentials these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub account: String,
    /// The user, or the session of a role.
    pub arn: Arn,
}

#[derive(Deserialize)]
struct Answered {
    #[serde(rename = "GetCallerIdentityResult")]
    result: Identity,
}

#[derive(Deserialize)]
struct Identity {
    #[serde(rename = "Account")]
    account: String,
    #[serde(rename = "Arn")]
    arn: Arn,
}

impl Aws {
    /// Whose credentials are used. It needs no permission, so it tells good credentials from bad.
    ///
    /// # Errors
    /// When there are none, they are refused, or the call fails.
    pub async fn caller(&self) -> Result<Caller> {
        let form = Form::default();
        let answered: Answered =
            self.query(Service::Sts, &self.region, "GetCallerIdentity", &form).await?;
        let Identity { account, arn } = answered.result;
        Ok(Caller { account, arn })
    }
}

//! What the API server says, in words.

use landfall_engine::EngineError;
use landfall_model::chain;

/// The API server's answer that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such object.
    NotFound,
    /// There is one already.
    Exists,
    /// Somebody changed it in between.
    Changed,
    /// Another field manager owns a field.
    Owned,
    /// Anything else.
    Other,
}

/// What kind of refusal an error is.
pub(crate) fn refusal(error: &kube::Error) -> Refusal {
    let kube::Error::Api(status) = error else { return Refusal::Other };
    let owned = || {
        status.details.as_ref().is_some_and(|details| {
            details.causes.iter().any(|cause| cause.reason == "FieldManagerConflict")
        })
    };
    match (status.code, status.reason.as_str()) {
        (404, _) => Refusal::NotFound,
        (409, "AlreadyExists") => Refusal::Exists,
        (409, _) if owned() => Refusal::Owned,
        (409, _) => Refusal::Changed,
        _ => Refusal::Other,
    }
}

/// An error in words, with what to do where that is known.
pub(crate) fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => match status.code {
            401 => "the cluster does not know these credentials; log in again".to_owned(),
            403 => format!("the cluster does not allow it: {}", status.message),
            _ => status.message.clone(),
        },
        other => chain(other),
    }
}

/// The engine cannot do something because of this.
pub(crate) fn failed(operation: impl Into<String>, error: &kube::Error) -> EngineError {
    let (operation, why) = (operation.into(), words(error));
    match error {
        // Not allowed, and not valid.
        kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422) => {
            EngineError::Refused { operation, why }
        }
        _ => EngineError::Failed { operation, why },
    }
}

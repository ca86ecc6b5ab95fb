//! What a verb says when it cannot do what was asked: the exit code, the words, the next step.

use landfall_model::ExitCode;
pub use landfall_protocol::agent::Failure;

/// The result of a verb.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// The command line or the file is wrong.
pub fn usage(message: impl Into<String>) -> Failure {
    Failure::new(ExitCode::Usage, message)
}

/// Something that should have worked did not.
pub fn unexpected(operation: &str, error: &impl std::fmt::Display) -> Failure {
    Failure::new(ExitCode::Unexpected, format!("cannot {operation}: {error}"))
}

/// A file that cannot be read or written.
pub fn file(operation: &str, path: &std::path::Path, error: &std::io::Error) -> Failure {
    let exit = match error.kind() {
        std::io::ErrorKind::NotFound => ExitCode::NotFound,
        std::io::ErrorKind::PermissionDenied => ExitCode::Permission,
        _ => ExitCode::Unexpected,
    };
    Failure::new(exit, format!("cannot {operation} {}: {error}", path.display()))
}

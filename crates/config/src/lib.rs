//! The file: parsed with spans, checked, overlaid per stack and resolved with provenance.

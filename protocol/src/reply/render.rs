//! What people read of an answer.

use super::Reply;
use crate::document::Document;

impl Reply {
    /// The answer as people read it.
    pub fn document(&self) -> Document {
        Document::new()
    }
}

//! What binding and grants promise.

//! What binding, grants and quotas promise, over a small control folder.

mod binding;
mod grants;
mod quotas;
mod world;

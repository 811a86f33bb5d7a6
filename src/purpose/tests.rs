//! What binding, grants and quotas promise, over a small control folder.

mod binding;
mod fitting;
mod grants;
mod quotas;
mod world;

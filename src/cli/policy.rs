//! stub
#[derive(clap::Args)]
pub struct PolicyArgs {}
pub fn run(_: PolicyArgs, _: &super::Settings) -> super::Exit {
    super::Exit::Trouble
}

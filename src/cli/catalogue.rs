//! stub
#[derive(clap::Args)]
pub struct CatalogueArgs {}
pub fn run(_: CatalogueArgs, _: &super::Settings) -> super::Exit {
    super::Exit::Trouble
}

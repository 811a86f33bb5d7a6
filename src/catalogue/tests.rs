//! What the catalogue promises: routes and templates.

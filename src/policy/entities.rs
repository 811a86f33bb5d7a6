//! Cedar entities for everything the control folder registers, built typed and once per snapshot. A call adds its
//! requester, with the bound scenario and grant among its parents, and the grant: no other grant is ever touched.
//!
//! Each entity carries all its ancestors as parents, so that a call's set needs only what a policy can dereference:
//! the request's own entities, what single-entity attributes lead to, and the entities that the asked policies name.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, LazyLock, OnceLock};

use cedar_policy::{Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression, Schema};
use moka::sync::Cache;

use super::World;
use crate::catalogue::{Item, Resource};
use crate::disclosure::Form;
use crate::identity::parties::{Department, Parties, Requester};
use crate::purpose::{Grant, Scenario};

/// Kept sets of entities beside those of a resource alone: one for each department and scenario that calls for it.
const SETTINGS: u64 = 1024;

/// The entity types of the fixed model.
pub(super) struct Types {
    pub(super) region: EntityTypeName,
    pub(super) class: EntityTypeName,
    pub(super) role: EntityTypeName,
    pub(super) department: EntityTypeName,
    pub(super) scenario: EntityTypeName,
    pub(super) grant: EntityTypeName,
    pub(super) requester: EntityTypeName,
    pub(super) resource: EntityTypeName,
    pub(super) item: EntityTypeName,
    pub(super) rows: EntityTypeName,
    action: EntityTypeName,
}

/// Parsed once: they are constants of the model.
pub(super) static TYPES: LazyLock<Types> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "each name below is a valid Cedar identifier")]
    let name = |text: &str| text.parse().expect("a type name of the model");
    Types {
        region: name("Region"),
        class: name("Class"),
        role: name("Role"),
        department: name("Department"),
        scenario: name("Scenario"),
        grant: name("Grant"),
        requester: name("Requester"),
        resource: name("Resource"),
        item: name("Item"),
        rows: name("Rows"),
        action: name("Action"),
    }
});

/// An entity's name.
pub(super) fn uid(of: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

/// An action's name.
pub(super) fn action(name: &str) -> EntityUid {
    uid(&TYPES.action, name)
}

/// `RESOURCE#NAME`.
pub(super) fn item_id(resource: &str, item: &str) -> String {
    format!("{resource}#{item}")
}

/// A value of an attribute or a member of the context.
pub(super) fn reference(uid: EntityUid) -> RestrictedExpression {
    RestrictedExpression::new_entity_uid(uid)
}

/// A set of entities.
pub(super) fn references(uids: impl IntoIterator<Item = EntityUid>) -> RestrictedExpression {
    RestrictedExpression::new_set(uids.into_iter().map(reference))
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn entity<const N: usize>(
    uid: EntityUid,
    attributes: [(&str, RestrictedExpression); N],
    parents: impl IntoIterator<Item = EntityUid>,
) -> Result<Entity, String> {
    let attributes: HashMap<_, _> = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Entity::new(uid, attributes, parents.into_iter().collect()).map_err(|error| error.to_string())
}

/// One registered entity, and where its single-entity attributes lead.
#[derive(Debug)]
struct Node {
    entity: Entity,
    leads_to: Vec<EntityUid>,
}

/// A name and all its ancestors: what a policy's scope can match.
#[derive(Debug)]
pub(super) struct Lineage {
    pub(super) uid: EntityUid,
    pub(super) ancestors: Vec<EntityUid>,
}

/// A resource as policies see it, and the entities of every call for it.
#[derive(Debug)]
pub(super) struct Asset {
    pub(super) resource: Lineage,
    /// In the catalogue's order.
    pub(super) items: Vec<Lineage>,
    base: OnceLock<Entities>,
}

/// All registered entities of a control snapshot.
#[derive(Debug)]
pub(super) struct Registered {
    nodes: HashMap<EntityUid, Node>,
    assets: HashMap<Arc<str>, Asset>,
    regions: HashMap<Arc<str>, Vec<EntityUid>>,
    departments: HashMap<Arc<str>, Vec<EntityUid>>,
    actions: Vec<Entity>,
    settings: Cache<(Arc<str>, Vec<EntityUid>), Arc<Entities>>,
}

impl Registered {
    /// Builds every registered entity and holds them against the schema. Of requesters, of which there may be a hundred
    /// thousand, only those that policies name: whoever calls comes with the call.
    pub(super) fn build<'n>(world: World<'_>, schema: &Schema, named: impl Iterator<Item = &'n EntityUid>) -> Result<Self, String> {
        let actions = schema.action_entities().map_err(|error| error.to_string())?;
        let mut all = Self {
            nodes: HashMap::new(),
            assets: HashMap::new(),
            regions: HashMap::new(),
            departments: HashMap::new(),
            actions: actions.iter().cloned().collect(),
            settings: Cache::builder().max_capacity(SETTINGS).build(),
        };
        all.add_parties(world.parties)?;
        for class in world.catalogue.classes.values() {
            let parents = ancestors(&class.id, &TYPES.class, |id| world.catalogue.classes.get(id)?.parent.as_ref());
            all.add(entity(uid(&TYPES.class, &class.id), [], parents)?, []);
        }
        for resource in world.catalogue.resources.values() {
            all.add_resource(world, resource)?;
        }
        for scenario in world.purposes.scenarios.values() {
            all.add_scenario(scenario)?;
        }
        let named = named.filter(|uid| *uid.type_name() == TYPES.requester).collect::<HashSet<_>>().into_iter();
        for requester in named.filter_map(|uid| world.parties.requesters.get(uid.id().unescaped())) {
            let requester = &requester.value;
            let entity = all.requester(requester, &requester.department, &requester.roles, [])?;
            all.add(entity, [uid(&TYPES.department, &requester.department.id), uid(&TYPES.region, &requester.department.region)]);
        }
        let entities = all.nodes.values().map(|node| node.entity.clone());
        Entities::from_entities(entities, Some(schema)).map_err(|error| chain(&error))?;
        Ok(all)
    }

    fn add(&mut self, entity: Entity, leads_to: impl IntoIterator<Item = EntityUid>) {
        self.nodes.insert(entity.uid(), Node { entity, leads_to: leads_to.into_iter().collect() });
    }

    fn add_parties(&mut self, parties: &Parties) -> Result<(), String> {
        for region in parties.regions.values() {
            let parents = ancestors(&region.id, &TYPES.region, |id| parties.regions.get(id)?.parent.as_ref());
            self.regions.insert(region.id.clone(), parents.clone());
            self.add(entity(uid(&TYPES.region, &region.id), [], parents)?, []);
        }
        for role in &parties.roles {
            self.add(entity(uid(&TYPES.role, role), [], [])?, []);
        }
        for department in parties.departments.values() {
            let parents = ancestors(&department.id, &TYPES.department, |id| parties.departments.get(id)?.parent.as_ref());
            self.departments.insert(department.id.clone(), parents.clone());
            let region = uid(&TYPES.region, &department.region);
            let attributes = [
                ("tier", text(&department.tier)),
                ("region", reference(region.clone())),
                ("authority", RestrictedExpression::new_bool(department.authority)),
            ];
            self.add(entity(uid(&TYPES.department, &department.id), attributes, parents)?, [region]);
        }
        Ok(())
    }

    fn add_resource(&mut self, world: World<'_>, resource: &Resource) -> Result<(), String> {
        let provider = uid(&TYPES.department, &resource.provider);
        let mut above: BTreeSet<EntityUid> = self.departments.get(&resource.provider).into_iter().flatten().cloned().collect();
        above.insert(provider.clone());
        let classes = |classes: &[Arc<str>], into: &mut BTreeSet<EntityUid>| {
            for class in classes {
                into.insert(uid(&TYPES.class, class));
                into.extend(ancestors(class, &TYPES.class, |id| world.catalogue.classes.get(id)?.parent.as_ref()));
            }
        };
        classes(&resource.classes, &mut above);
        let whole = Lineage { uid: uid(&TYPES.resource, &resource.id), ancestors: above.iter().cloned().collect() };
        let attributes = [
            ("provider", reference(provider.clone())),
            ("sharing", text(resource.sharing.name())),
            ("level", text(resource.level.name())),
            ("grade", RestrictedExpression::new_long(resource.grade)),
            ("personal", RestrictedExpression::new_bool(resource.personal)),
        ];
        self.add(entity(whole.uid.clone(), attributes, above.iter().cloned())?, [provider.clone()]);
        let mut items = Vec::with_capacity(resource.items.len());
        for item in &resource.items {
            let mut above = above.clone();
            above.insert(whole.uid.clone());
            classes(&item.classes, &mut above);
            let lineage = Lineage { uid: uid(&TYPES.item, &item_id(&resource.id, &item.name)), ancestors: above.into_iter().collect() };
            self.add(item_entity(item, &lineage, &provider)?, [provider.clone()]);
            items.push(lineage);
        }
        self.assets.insert(resource.id.clone(), Asset { resource: whole, items, base: OnceLock::new() });
        Ok(())
    }

    fn add_scenario(&mut self, scenario: &Scenario) -> Result<(), String> {
        let lead = uid(&TYPES.department, &scenario.lead);
        let participants = scenario.participants.iter().map(|id| uid(&TYPES.department, id));
        let attributes = [("lead", reference(lead.clone())), ("participants", references(participants))];
        self.add(entity(uid(&TYPES.scenario, &scenario.id), attributes, [])?, [lead]);
        Ok(())
    }

    /// The requester as one call sees it: of the department it calls for, and of that department's region alone.
    pub(super) fn requester(
        &self,
        requester: &Requester,
        department: &Department,
        roles: &BTreeSet<Arc<str>>,
        bound: impl IntoIterator<Item = EntityUid>,
    ) -> Result<Entity, String> {
        let parents = self.above_requester(department, roles).into_iter().chain(bound);
        let attributes = [
            ("department", reference(uid(&TYPES.department, &department.id))),
            ("clearance", RestrictedExpression::new_long(requester.clearance)),
            ("region", reference(uid(&TYPES.region, &department.region))),
        ];
        entity(uid(&TYPES.requester, &requester.id), attributes, parents)
    }

    /// All that a requester stands under but the bound scenario and grant.
    pub(super) fn above_requester(&self, department: &Department, roles: &BTreeSet<Arc<str>>) -> Vec<EntityUid> {
        let mut above = vec![uid(&TYPES.department, &department.id), uid(&TYPES.region, &department.region)];
        above.extend(self.departments.get(&department.id).into_iter().flatten().cloned());
        above.extend(self.regions.get(&department.region).into_iter().flatten().cloned());
        above.extend(roles.iter().map(|role| uid(&TYPES.role, role)));
        above
    }

    /// A resource as policies see it.
    pub(super) fn asset(&self, resource: &str) -> Option<&Asset> {
        self.assets.get(resource)
    }

    /// Whether the control folder registers `name`; requesters and grants are asked of the world itself.
    pub(super) fn knows(&self, name: &EntityUid) -> bool {
        self.nodes.contains_key(name)
    }

    /// The registered ids of one type but the requesters, for "did you mean".
    pub(super) fn ids_of<'a>(&'a self, of: &'a EntityTypeName) -> impl Iterator<Item = String> + 'a {
        self.nodes.keys().filter(move |uid| uid.type_name() == of).map(|uid| uid.id().unescaped().to_owned())
    }

    /// The entities of one call: those of its resource, what `named` leads to, and its own (requester and grant), which
    /// alone are new and held against the schema.
    pub(super) fn for_call(
        &self,
        resource: &Arc<str>,
        asset: &Asset,
        own: Vec<Entity>,
        named: impl IntoIterator<Item = EntityUid>,
        schema: &Schema,
    ) -> Result<Entities, String> {
        let base = self.base(asset)?;
        let made: Vec<EntityUid> = own.iter().map(Entity::uid).collect();
        let mut named: Vec<EntityUid> = named.into_iter().filter(|uid| base.get(uid).is_none() && !made.contains(uid)).collect();
        named.sort_unstable();
        named.dedup();
        let key = (resource.clone(), named);
        let setting = match self.settings.get(&key) {
            Some(setting) => setting,
            None => {
                let reached = self.reached(key.1.iter().cloned(), |uid| base.get(uid).is_some() || made.contains(uid));
                let setting = Arc::new(base.clone().add_entities(reached, None).map_err(|error| chain(&error))?);
                self.settings.insert(key, setting.clone());
                setting
            }
        };
        Entities::clone(&setting).add_entities(own, Some(schema)).map_err(|error| chain(&error))
    }

    /// The entities of every call for a resource.
    fn base<'a>(&self, asset: &'a Asset) -> Result<&'a Entities, String> {
        if let Some(base) = asset.base.get() {
            return Ok(base);
        }
        let seeds = asset.items.iter().chain([&asset.resource]).map(|lineage| lineage.uid.clone());
        let reached = self.reached(seeds, |_| false).into_iter().chain(self.actions.iter().cloned());
        let base = Entities::from_entities(reached, None).map_err(|error| chain(&error))?;
        Ok(asset.base.get_or_init(|| base))
    }

    /// `seeds` and all that their attributes lead to, without what is there already.
    fn reached(&self, seeds: impl IntoIterator<Item = EntityUid>, there: impl Fn(&EntityUid) -> bool) -> Vec<Entity> {
        let mut open: Vec<EntityUid> = seeds.into_iter().collect();
        let mut seen = HashSet::new();
        let mut reached = Vec::new();
        while let Some(uid) = open.pop() {
            if there(&uid) || !seen.insert(uid.clone()) {
                continue;
            }
            if let Some(node) = self.nodes.get(&uid) {
                reached.push(node.entity.clone());
                open.extend(node.leads_to.iter().cloned());
            }
        }
        reached
    }
}

fn item_entity(item: &Item, lineage: &Lineage, provider: &EntityUid) -> Result<Entity, String> {
    let attributes = [
        ("provider", reference(provider.clone())),
        ("sharing", text(item.sharing.name())),
        ("level", text(item.level.name())),
        ("grade", RestrictedExpression::new_long(item.grade)),
        ("personal", RestrictedExpression::new_bool(item.personal)),
        ("sensitive", RestrictedExpression::new_bool(item.sensitive)),
    ];
    entity(lineage.uid.clone(), attributes, lineage.ancestors.iter().cloned())
}

/// A grant as one call sees it: for the call's own resource, also where it covers all of a provider's.
pub(super) fn grant_entity(grant: &Grant, resource: &EntityUid) -> Result<Entity, String> {
    let items = |form: Form| {
        let approved = grant.items.iter().filter(move |(_, forms)| forms.contains(form));
        references(approved.map(|(item, _)| uid(&TYPES.item, item)))
    };
    let attributes = [
        ("resource", reference(resource.clone())),
        ("regions", references(grant.regions.iter().map(|id| uid(&TYPES.region, id)))),
        ("reveal", items(Form::Reveal)),
        ("mask", items(Form::Mask)),
        ("pseudonymise", items(Form::Pseudonymise)),
        ("compare", items(Form::Compare)),
    ];
    entity(uid(&TYPES.grant, &grant.id), attributes, [])
}

/// The records of one region of a resource.
pub(super) fn rows_entity(rows: &Lineage, region: &str) -> Result<Entity, String> {
    entity(rows.uid.clone(), [("region", reference(uid(&TYPES.region, region)))], rows.ancestors.iter().cloned())
}

/// A region that is known by its digits alone.
pub(super) fn region_entity(code: &str, above: &[EntityUid]) -> Result<Entity, String> {
    entity(uid(&TYPES.region, code), [], above.iter().cloned())
}

/// Everything above `id`, nearest first; a circle, which the loaders refuse, ends the walk.
fn ancestors<'w>(id: &Arc<str>, of: &EntityTypeName, parent: impl Fn(&Arc<str>) -> Option<&'w Arc<str>>) -> Vec<EntityUid> {
    let mut above: Vec<&Arc<str>> = Vec::new();
    let mut at = parent(id);
    while let Some(next) = at {
        if next == id || above.contains(&next) {
            break;
        }
        above.push(next);
        at = parent(next);
    }
    above.into_iter().map(|id| uid(of, id)).collect()
}

/// An error with its causes: Cedar tells the reason in the last of them.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    message
}

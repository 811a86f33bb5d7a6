//! Why an answer may hold the records of a region, or drops them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Question, told};
use crate::lang::Text;
use crate::policy::decide::{Call, answer};
use crate::policy::rows::Asking;
use crate::policy::supposed::Supposed;
use crate::policy::{Policies, World};

/// What becomes of one region's records.
#[derive(Debug)]
pub struct RegionWhy {
    /// The region's code.
    pub code: Arc<str>,
    /// Whether the answer may hold them.
    pub included: bool,
    /// Why no policy was asked; none: they were.
    pub not_asked: Option<Text>,
    /// What the policies said.
    pub asked: Option<Question>,
}

impl Policies {
    /// What becomes of the records of each region in a call that is let pass; nothing is said of one that is not.
    pub fn explain_regions(&self, supposed: &Supposed, world: World<'_>, codes: &[String]) -> Vec<RegionWhy> {
        if self.suppose_anew(supposed, world).is_err() {
            return Vec::new();
        }
        let Ok(made) = supposed.make(world) else { return Vec::new() };
        codes.iter().map(|code| self.explain_region(&made.call(), world, code)).collect()
    }

    fn explain_region(&self, call: &Call<'_>, world: World<'_>, code: &str) -> RegionWhy {
        let (mut why, resource) = (RegionWhy { code: code.into(), included: false, not_asked: None, asked: None }, &call.target.resource);
        if resource.region.is_none() {
            why.included = true;
            why.not_asked = Some(Text::new(
                "该数据资源没有 `region_item`，其记录不按行政区划取舍",
                "the resource has no `region_item`: its records are not told apart by region",
            ));
            return why;
        }
        if !world.parties.knows_region(code) {
            why.not_asked = Some(Text::new("该代码不是登记的行政区划", "the code is no registered region"));
            return why;
        }
        let chain = world.parties.region_chain(code);
        if let Some(grant) =
            call.grant.filter(|grant| !grant.regions.is_empty() && !chain.iter().any(|region| grant.regions.contains(region)))
        {
            let (id, regions) = (&grant.id, grant.regions.join(", "));
            why.not_asked =
                Some(Text::new(format!("授权 `{id}` 只含行政区划 {regions}"), format!("grant `{id}` covers the regions {regions} alone")));
            return why;
        }
        match self.asking(call, &chain) {
            Ok(Asking { slice, entities, request }) => {
                let (allowed, reasons) =
                    answer(self, &slice, &entities, &request).map_or((false, BTreeSet::new()), |asked| (asked.allowed, asked.reasons));
                why.included = allowed;
                why.asked = Some(told(self, ("include", allowed), &slice, Some((&request, &entities)), &reasons));
            }
            Err(error) => why.not_asked = Some(Text::new(error.clone(), error)),
        }
        why
    }
}

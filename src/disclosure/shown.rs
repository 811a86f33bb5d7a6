//! What an answer showed: for each item, how many values in which form.

use std::fmt;
use std::sync::Arc;

use super::Form;
use super::compiled::Compiled;

/// By item, in the order of their names.
#[derive(Clone, Default)]
pub struct Shown(Kept);

#[derive(Clone)]
enum Kept {
    /// For each item of a plan.
    Counted(Arc<Compiled>, Vec<Forms>),
    /// These once each, sorted.
    Once(Vec<Arc<str>>, Forms),
}

/// How many values of one item left in each form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forms([u64; Form::ALL.len()]);

impl Shown {
    /// For each item of a plan so much.
    pub(super) fn counted(plan: &Arc<Compiled>, counts: Vec<Forms>) -> Self {
        Self(Kept::Counted(plan.clone(), counts))
    }

    /// One value of each of these, in one form.
    pub fn once(items: impl Iterator<Item = Arc<str>>, form: Form) -> Self {
        let (mut items, mut forms): (Vec<_>, _) = (items.collect(), Forms::default());
        items.sort_unstable();
        items.dedup();
        forms.add(form);
        Self(Kept::Once(items, forms))
    }

    /// Each item of which something was shown.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Forms)> {
        let (counted, once) = match &self.0 {
            Kept::Counted(plan, counts) => (Some(plan.by_name.iter().map(|item| (&*plan.items[*item].name, &counts[*item]))), None),
            Kept::Once(items, forms) => (None, Some(items.iter().map(move |name| (&**name, forms)))),
        };
        let all = counted.into_iter().flatten().chain(once.into_iter().flatten());
        all.filter(|(_, forms)| forms.0.iter().any(|count| *count > 0))
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self::Once(Vec::new(), Forms::default())
    }
}

impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Shown {}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Forms {
    /// The forms in which something was shown, by their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Form::ALL.into_iter().map(|form| (form.name(), self.0[form as usize])).filter(|(_, count)| *count > 0)
    }

    #[inline]
    pub(super) fn add(&mut self, form: Form) {
        self.0[form as usize] += 1;
    }

    pub(super) fn take_back(&mut self, form: Form) {
        self.0[form as usize] -= 1;
    }
}

#[cfg(test)]
impl std::ops::Index<&str> for Shown {
    type Output = Forms;

    fn index(&self, item: &str) -> &Forms {
        self.iter().find(|(name, _)| *name == item).map_or_else(|| panic!("nothing of `{item}` was shown"), |(_, forms)| forms)
    }
}

#[cfg(test)]
impl std::ops::Index<&str> for Forms {
    type Output = u64;

    fn index(&self, form: &str) -> &u64 {
        let form = Form::ALL.into_iter().find(|known| known.name() == form).unwrap();
        &self.0[form as usize]
    }
}

//! A set of forms in one byte: a hundred thousand grants hold one for each of their items.

use super::Form;

/// Forms approved for an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FormSet(u8);

impl FormSet {
    /// Whether the form is one of them.
    pub const fn contains(self, form: Form) -> bool {
        self.0 & Self::bit(form) != 0
    }

    /// Adds a form.
    pub const fn insert(&mut self, form: Form) {
        self.0 |= Self::bit(form);
    }

    /// From the widest to the narrowest.
    pub fn iter(self) -> impl Iterator<Item = Form> {
        Form::ALL.into_iter().filter(move |form| self.contains(*form))
    }

    const fn bit(form: Form) -> u8 {
        1 << form as u8
    }
}

impl FromIterator<Form> for FormSet {
    fn from_iter<I: IntoIterator<Item = Form>>(forms: I) -> Self {
        let mut set = Self::default();
        forms.into_iter().for_each(|form| set.insert(form));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        for bits in 0..16_u8 {
            let forms: Vec<Form> = Form::ALL.into_iter().filter(|form| bits & (1 << *form as u8) != 0).collect();
            let set: FormSet = forms.iter().rev().copied().collect();
            assert_eq!(set.iter().collect::<Vec<_>>(), forms);
            assert!(Form::ALL.into_iter().all(|form| set.contains(form) == forms.contains(&form)));
        }
    }
}

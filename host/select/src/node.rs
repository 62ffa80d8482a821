/// The node that the locations are ordered for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Node<'a> {
    /// Its name, as `node-weights` spells it: compared byte by byte.
    pub name: &'a str,
}

//! Who has what: for each run and valid time the member that has it, and the ways to look at that.

use std::collections::{BTreeMap, BTreeSet};

use cdm::coordinates::date::Moment;

/// What is computed when for when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    /// When the run began.
    pub(super) run: Moment,
    /// What time the values are for.
    pub(super) valid: Moment,
}

impl Key {
    /// Nanoseconds from the beginning of the run.
    pub(super) fn offset(self) -> i128 {
        self.valid.nanoseconds() - self.run.nanoseconds()
    }
}

/// Where it is: a member, and an index of its time axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    /// Position of the member.
    pub(super) member: usize,
    /// Index along its time axis.
    pub(super) index: u64,
}

/// The cells of variables that lie alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Inventory {
    cells: BTreeMap<Key, Cell>,
    /// Pairs of members that have the same key, the one that is used first, with how many keys that is so of.
    pub(super) twice: BTreeMap<(usize, usize), usize>,
}

impl Inventory {
    /// Adds a cell. Of two with the same key the later-named member's is kept (`rank` is a member's position by
    /// name), of two in one member the first.
    pub(super) fn add(&mut self, key: Key, cell: Cell, rank: &[usize]) {
        let Some(old) = self.cells.get(&key).copied() else {
            self.cells.insert(key, cell);
            return;
        };
        let of = |cell: Cell| rank.get(cell.member).copied().unwrap_or_default();
        let wins = of(cell) > of(old);
        let pair = if wins { (cell.member, old.member) } else { (old.member, cell.member) };
        *self.twice.entry(pair).or_default() += 1;
        if wins {
            self.cells.insert(key, cell);
        }
    }

    /// Where a key is.
    pub(super) fn get(&self, key: Key) -> Option<Cell> {
        self.cells.get(&key).copied()
    }

    /// All keys, by run and valid time.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.cells.keys().copied()
    }
}

/// For each valid time the newest run that has it, by valid time.
pub(super) fn best(keys: impl Iterator<Item = Key>) -> Vec<Key> {
    let mut newest: BTreeMap<Moment, Moment> = BTreeMap::new();
    for key in keys {
        let run = newest.entry(key.valid).or_insert(key.run);
        *run = key.run.max(*run);
    }
    newest.into_iter().map(|(valid, run)| Key { run, valid }).collect()
}

/// Rows and columns of the two-time collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    /// By row.
    pub(super) runs: Vec<Moment>,
    /// By column, when columns are offsets: nanoseconds.
    pub(super) offsets: Option<Vec<i128>>,
    /// What is where.
    pub(super) cells: BTreeMap<(usize, usize), Key>,
    /// Number of columns.
    pub(super) columns: usize,
}

impl Table {
    /// A row for each of `runs` (in order), and a column for each offset that any run has. Where runs have so
    /// little in common that this would more than double the width, columns are positions: the first, second ...
    /// valid time of each run.
    pub(super) fn new(runs: &[Moment], keys: &BTreeSet<Key>) -> Self {
        let offsets: Vec<i128> =
            keys.iter().map(|k| k.offset()).collect::<BTreeSet<_>>().into_iter().collect();
        let mut position: Vec<usize> = Vec::with_capacity(keys.len());
        let mut last = None;
        for key in keys {
            let next = match (last, position.last()) {
                (Some(run), Some(&at)) if run == key.run => at + 1,
                _ => 0,
            };
            position.push(next);
            last = Some(key.run);
        }
        let longest = position.iter().max().map_or(0, |&n| n + 1);
        let by_offset = offsets.len() <= longest.saturating_mul(2);
        let mut cells = BTreeMap::new();
        for (key, position) in keys.iter().zip(position) {
            let Ok(row) = runs.binary_search(&key.run) else { continue };
            let column =
                if by_offset { offsets.binary_search(&key.offset()).unwrap_or(position) } else { position };
            cells.insert((row, column), *key);
        }
        let columns = if by_offset { offsets.len() } else { longest };
        Self { runs: runs.to_vec(), offsets: by_offset.then_some(offsets), cells, columns }
    }
}

/// A run of columns in one row that are consecutive indices of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// Position of the member.
    pub(super) member: usize,
    /// The first index along the member's time axis.
    pub(super) index: u64,
    /// Row, 0 when there is one dimension only.
    pub(super) row: u64,
    /// The first column.
    pub(super) column: u64,
    /// Number of columns.
    pub(super) count: u64,
}

/// `cells` (row, column, cell; in this order) as few segments. When `repeats`, the member's values do not depend on
/// time, and any index is as good as another.
pub(super) fn segments(cells: impl Iterator<Item = (u64, u64, Cell)>, repeats: bool) -> Vec<Segment> {
    let mut found: Vec<Segment> = Vec::new();
    for (row, column, Cell { member, index }) in cells {
        if let Some(last) = found.last_mut()
            && last.member == member
            && last.row == row
            && last.column + last.count == column
            && (repeats || last.index + last.count == index)
        {
            last.count += 1;
            continue;
        }
        found.push(Segment { member, index, row, column, count: 1 });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i128 = 3_600_000_000_000;

    fn at(hours: i128) -> Moment {
        Moment::new(hours * HOUR).unwrap()
    }

    fn key(run: i128, offset: i128) -> Key {
        Key { run: at(run), valid: at(run + offset) }
    }

    #[test]
    fn the_later_named_member_wins_and_the_loser_is_counted() {
        let mut inventory = Inventory::default();
        let rank = [1, 0, 2];
        for member in [0, 1, 2, 1] {
            inventory.add(key(0, 6), Cell { member, index: 5 }, &rank);
        }
        assert_eq!(inventory.get(key(0, 6)), Some(Cell { member: 2, index: 5 }));
        assert_eq!(inventory.twice, [((0, 1), 1), ((2, 0), 1), ((2, 1), 1)].into());
    }

    #[test]
    fn best_is_the_newest_run() {
        let keys = [key(0, 0), key(0, 6), key(0, 12), key(6, 6), key(12, 0)];
        assert_eq!(best(keys.into_iter()), [key(0, 0), key(0, 6), key(12, 0)]);
    }

    #[test]
    fn columns_are_offsets_while_runs_share_them() {
        let keys: BTreeSet<Key> = [key(0, 0), key(0, 6), key(0, 12), key(6, 0), key(6, 12)].into();
        let table = Table::new(&[at(0), at(6)], &keys);
        assert_eq!(table.offsets, Some(vec![0, 6 * HOUR, 12 * HOUR]));
        assert_eq!(table.cells.get(&(1, 2)), Some(&key(6, 12)));
        assert_eq!(table.cells.get(&(1, 1)), None);
    }

    #[test]
    fn columns_are_positions_when_runs_share_nothing() {
        let runs: Vec<Moment> = (0..5).map(|i| at(100 * i)).collect();
        let keys: BTreeSet<Key> = (0..5).flat_map(|i| [key(100 * i, i), key(100 * i, 10 + i)]).collect();
        let table = Table::new(&runs, &keys);
        assert_eq!((table.offsets, table.columns), (None, 2));
        assert_eq!(table.cells.get(&(3, 1)), Some(&key(300, 13)));
    }

    #[test]
    fn consecutive_indices_of_one_member_are_one_segment() {
        let cell = |member, index| Cell { member, index };
        let cells = [(0, 0, cell(0, 3)), (0, 1, cell(0, 4)), (0, 2, cell(0, 6)), (1, 3, cell(0, 7))];
        let found = segments(cells.into_iter(), false);
        let counts: Vec<_> = found.iter().map(|s| (s.row, s.column, s.index, s.count)).collect();
        assert_eq!(counts, [(0, 0, 3, 2), (0, 2, 6, 1), (1, 3, 7, 1)]);
        let cells = [(0, 0, cell(0, 3)), (0, 1, cell(0, 9)), (0, 2, cell(1, 0))];
        assert_eq!(segments(cells.into_iter(), true).len(), 2);
    }
}

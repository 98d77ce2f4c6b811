//! A dataset put together from parts of its members. A read opens the members that its selection touches, in
//! output order, a few of them ahead; what one member has in one run is passed on as it comes.
//!
//! Memory: at most [`AHEAD`] pieces of a stream are begun before they are wanted. Of a run that is passed on only
//! the member is opened ahead; bands are gathered ahead only one at a time, so a stream holds two at most, and all
//! streams' bands share [`mod@super::room`].

use std::{collections::HashMap, collections::VecDeque, sync::Arc};

use cdm::{
    Block, BlockStream, DataType, Dataset, Error, ErrorKind, FullName, Result, ResultExt, Selection, Source,
    Version,
    records::for_each_index,
    source::{end_after_error, failed},
};
use futures::StreamExt;
use tokio::task::JoinHandle;

use super::{
    Member,
    conversion::Conversion,
    gather,
    parts::{Mosaic, Part, Plan},
    paste::Canvas,
    pieces::{Cutter, Gathered, Piece, Sizes},
    room::ROOM,
};
use crate::storage::carried;

/// Pieces of one stream that are begun before they are wanted.
const AHEAD: usize = 4;

/// Elements of one block of fill or known values.
const ELEMENTS: u64 = 64 << 10;

/// A dataset whose variables are put together from parts of members.
#[derive(Debug)]
pub struct Assembled {
    dataset: Dataset,
    version: Version,
    members: Arc<[Member]>,
    plans: HashMap<FullName, Plan>,
    sizes: Sizes,
}

impl Assembled {
    /// Variables of `dataset` by their plans.
    ///
    /// # Errors
    /// `Internal` when a variable has no plan, or one that does not fit it or the members.
    pub fn new(
        dataset: Dataset,
        version: Version,
        members: Arc<[Member]>,
        plans: HashMap<FullName, Plan>,
    ) -> Result<Self> {
        for (name, variable) in dataset.variables() {
            let plan = plans.get(&name);
            let plan = plan.ok_or_else(|| Error::internal(format!("{name}: nothing says how to read it")))?;
            match plan {
                Plan::Values(block) => {
                    let size = variable.data_type.fixed_size();
                    let fits = size.is_some() == matches!(block, Block::Fixed(_))
                        && block.element_count(size) == variable.element_count();
                    if !fits {
                        return Err(Error::internal(format!("{name}: values of another type or number")));
                    }
                }
                Plan::Parts(mosaic) => mosaic.check_members(&members, variable).within(|| &name)?,
            }
        }
        Ok(Self { dataset, version, members, plans, sizes: Sizes::default() })
    }

    /// With pieces of other sizes.
    #[cfg(test)]
    pub(super) fn sized(self, sizes: Sizes) -> Self {
        Self { sizes, ..self }
    }
}

impl Source for Assembled {
    fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    fn version(&self) -> Option<&Version> {
        Some(&self.version)
    }

    fn read(&self, variable: &FullName, selection: &Selection) -> BlockStream {
        let (described, plan) = match (self.dataset.require(variable), self.plans.get(variable)) {
            (Ok(described), Some(plan)) => (described, plan),
            (Err(error), _) => return failed(error),
            (Ok(_), None) => return failed(Error::internal(format!("{variable}: no plan"))),
        };
        if selection.of_shape() != described.shape() {
            return failed(Error::internal(format!("{variable}: a selection made for another shape")));
        }
        let size = described.data_type.fixed_size();
        match plan {
            Plan::Values(block) => choose(block.clone(), size, selection.clone()),
            Plan::Parts(mosaic) => {
                let work = Work {
                    members: Arc::clone(&self.members),
                    mosaic: Arc::clone(mosaic),
                    data_type: described.data_type.clone(),
                };
                work.read(selection.clone(), self.sizes)
            }
        }
    }
}

/// What `selection` selects of known values.
fn choose(block: Block, size: Option<u64>, selection: Selection) -> BlockStream {
    Box::pin(futures::stream::once(async move {
        if selection.is_all() {
            return Ok(block);
        }
        let outside = || Error::internal("fewer values are known than there are elements");
        if let (Block::Fixed(bytes), Some(Ok(size))) = (&block, size.map(usize::try_from)) {
            let mut chosen = Vec::new();
            for_each_index(&selection, |i| {
                let start = usize::try_from(i).ok().and_then(|i| i.checked_mul(size));
                let element = start.and_then(|s| bytes.get(s..s + size)).ok_or_else(outside)?;
                chosen.extend_from_slice(element);
                Ok(())
            })?;
            return Ok(Block::Fixed(chosen.into()));
        }
        let elements: Vec<&[u8]> = block.elements().collect();
        let mut chosen = Vec::new();
        for_each_index(&selection, |i| {
            let element = usize::try_from(i).ok().and_then(|i| elements.get(i));
            chosen.push(*element.ok_or_else(outside)?);
            Ok(())
        })?;
        Ok(Block::varying(chosen))
    }))
}

/// What the tasks of one stream share.
#[derive(Debug, Clone)]
pub(super) struct Work {
    members: Arc<[Member]>,
    pub(super) mosaic: Arc<Mosaic>,
    pub(super) data_type: DataType,
}

/// A task that ends when nobody waits for it any more.
pub(super) struct Task<T>(JoinHandle<Result<T>>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T: Send + 'static> Task<T> {
    pub(super) fn spawn(work: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self(tokio::spawn(carried(work)))
    }

    pub(super) async fn result(mut self) -> Result<T> {
        match (&mut self.0).await {
            Ok(result) => result,
            Err(e) => Err(Error::internal("reading failed").with_source(e)),
        }
    }
}

/// A piece that was begun.
enum Begun {
    Fill(u64),
    Whole(Task<Arc<dyn Source>>, Gathered),
    Band(Task<Block>),
}

/// One stream's state.
struct Reading {
    work: Work,
    cutter: Cutter,
    /// Cut, but not begun: a band behind another one.
    held: Option<Piece>,
    begun: VecDeque<Begun>,
    current: Option<BlockStream>,
}

impl Work {
    fn read(self, selection: Selection, sizes: Sizes) -> BlockStream {
        let size = self.data_type.fixed_size();
        let cutter = Cutter::new(Arc::clone(&self.mosaic), selection, size, sizes);
        let reading = Reading { work: self, cutter, held: None, begun: VecDeque::new(), current: None };
        let blocks = futures::stream::unfold(reading, |mut reading| async {
            let block = reading.next().await.transpose()?;
            Some((block, reading))
        });
        end_after_error(blocks)
    }

    fn member(&self, part: &Part) -> Result<&Member> {
        self.members.get(part.member).ok_or_else(|| Error::internal("a part of no member"))
    }

    pub(super) fn part(&self, gathered: &Gathered) -> Result<&Part> {
        self.mosaic.parts().get(gathered.part).ok_or_else(|| Error::internal("a part that is not there"))
    }

    /// The shape of a part's variable in its member.
    fn shape_of(&self, part: usize) -> Result<Vec<u64>> {
        let missing = || Error::internal("a part that is not there");
        let part = self.mosaic.parts().get(part).ok_or_else(missing)?;
        Ok(self.member(part)?.dataset.require(&part.variable)?.shape())
    }

    /// Opens the member of a part, and checks that the variable is as described.
    async fn open(&self, gathered: &Gathered) -> Result<Arc<dyn Source>> {
        let part = self.part(gathered)?;
        let member = self.member(part)?;
        let source = member.opener.open().await.within(|| &member.name)?;
        let (was, now) = (member.dataset.require(&part.variable)?, source.dataset().variable(&part.variable));
        if now.is_none_or(|now| now.data_type != was.data_type || now.shape() != was.shape()) {
            return Err(Error::new(
                ErrorKind::Changed,
                format!("{}: {} is not what it was; ask again", member.name, part.variable),
            ));
        }
        Ok(source)
    }

    /// The values of a part, converted, from its open member.
    fn values(&self, source: &Arc<dyn Source>, gathered: &Gathered) -> Result<BlockStream> {
        let part = self.part(gathered)?;
        let name = Arc::clone(&self.member(part)?.name);
        let conversion = part.conversion.clone();
        let blocks = source.read(&part.variable, &gathered.selection);
        Ok(Box::pin(blocks.map(move |block| converted(block, conversion.as_deref()).within(|| &name))))
    }

    /// The values of a part as one block.
    pub(super) async fn collect(&self, gathered: &Gathered) -> Result<Block> {
        let source = self.open(gathered).await?;
        let blocks = self.values(&source, gathered)?;
        let part = self.part(gathered)?;
        let block = one_block(blocks, self.data_type.fixed_size(), gathered.selection.element_count());
        block.await.within(|| &part.variable)
    }

    fn begin(&self, piece: Piece) -> Begun {
        let work = self.clone();
        match piece {
            Piece::Fill { count } => Begun::Fill(count),
            Piece::Whole(gathered) => {
                let opened = Gathered { runs: Vec::new(), ..gathered.clone() };
                Begun::Whole(Task::spawn(async move { work.open(&opened).await }), gathered)
            }
            Piece::Band { shape, parts } => Begun::Band(Task::spawn(gather::band(work, shape, parts))),
        }
    }

    /// `count` elements of fill.
    fn filled(&self, count: u64) -> BlockStream {
        let (size, fill) = (self.data_type.fixed_size(), self.mosaic.fill().cloned());
        let blocks = (0..count.div_ceil(ELEMENTS)).map(move |i| {
            let here = (count - i * ELEMENTS).min(ELEMENTS);
            Canvas::new(here, size, fill.as_ref()).map(Canvas::into_block)
        });
        Box::pin(futures::stream::iter(blocks))
    }
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Block>> {
        loop {
            self.begin_ahead()?;
            if let Some(current) = &mut self.current {
                match current.next().await {
                    Some(block) => return block.map(Some),
                    None => self.current = None,
                }
                continue;
            }
            match self.begun.pop_front() {
                None => return Ok(None),
                Some(Begun::Fill(count)) => self.current = Some(self.work.filled(count)),
                Some(Begun::Band(task)) => return task.result().await.map(Some),
                Some(Begun::Whole(task, gathered)) => {
                    let source = task.result().await?;
                    self.current = Some(self.work.values(&source, &gathered)?);
                }
            }
        }
    }

    /// Begins pieces until there are enough of them; of bands one at a time.
    fn begin_ahead(&mut self) -> Result<()> {
        while self.begun.len() < AHEAD {
            let work = &self.work;
            self.cutter.limit(ROOM.for_next());
            let piece = match self.held.take() {
                Some(piece) => piece,
                None => match self.cutter.next(&|part| work.shape_of(part)) {
                    Some(piece) => piece?,
                    None => break,
                },
            };
            let is_band = matches!(piece, Piece::Band { .. });
            if is_band && self.begun.iter().any(|b| matches!(b, Begun::Band(_))) {
                self.held = Some(piece);
                break;
            }
            self.begun.push_back(self.work.begin(piece));
        }
        Ok(())
    }
}

fn converted(block: Result<Block>, conversion: Option<&Conversion>) -> Result<Block> {
    match conversion {
        Some(conversion) => conversion.apply(block?),
        None => block,
    }
}

/// All `count` elements of a stream. A single block is passed on as it is; of several each is copied before the
/// next is waited for, lest one read keeps the memory that another one of the same stream needs.
async fn one_block(mut blocks: BlockStream, size: Option<u64>, count: u64) -> Result<Block> {
    let (mut all, mut all_ends) = (Vec::new(), Vec::new());
    while let Some(block) = blocks.next().await.transpose()? {
        if all.is_empty() && block.element_count(size) == count {
            return Ok(block);
        }
        let base = all.len() as u64;
        match block {
            Block::Fixed(bytes) => all.extend_from_slice(&bytes),
            Block::Varying { ends, bytes } => {
                all_ends.extend(ends.iter().map(|e| e + base));
                all.extend_from_slice(&bytes);
            }
        }
    }
    let bytes = all.into();
    let block = if size.is_some() { Block::Fixed(bytes) } else { Block::Varying { ends: all_ends, bytes } };
    match block.element_count(size) {
        found if found == count => Ok(block),
        found => Err(Error::internal(format!("{found} values instead of {count}"))),
    }
}

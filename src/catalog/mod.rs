//! Dataset names to Sources: roots, listings, and a cache of open Sources by object version.

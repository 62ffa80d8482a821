mod descriptors;
mod extents;
mod forms;
mod memory;
mod refusals;
mod writer;

// A worker that ends before it has opened anything.
throw new Error('not today');
